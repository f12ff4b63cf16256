import t from 'tap'
import { PodPlaces } from '../../../agent/policy/pod-places.ts'
import { parseCidr } from '../../../ipam/address.ts'
import { networkPolicy, node, pod, smallCluster, whoReaches } from './small-cluster.ts'

const FRIENDS = networkPolicy({ ingress: [{ from: [{ podSelector: { matchLabels: { is: 'friend' } } }] }] })
const OWN = 'x/a pi-1'

/** The pod x/liar of pi-2, with a label that x/a lets in, which says that it has these addresses. */
const withLiar = (address: string, change: Parameters<typeof smallCluster>[1] = {}, nodeName = 'pi-2') =>
  smallCluster([FRIENDS], {
    pods: [pod('x/liar', { nodeName, labels: { is: 'friend' }, addresses: [address] })],
    ...change,
  })

t.test('a pod of another node lends its labels to no pod of this node', async (t) => {
  t.equal(whoReaches(withLiar('10.42.1.20'), 'x/a'), OWN, 'y/a is of this node')
  t.equal(
    whoReaches(withLiar('10.42.1.99'), 'x/a', { sources: ['10.42.1.99'] }),
    '',
    'nor to one that is still to come',
  )
})

t.test('nor to one whose address is in no pod CIDR that is known', async (t) => {
  t.equal(whoReaches(withLiar('10.42.1.20', { nodes: [node(1, { podCidrs: [] })] }), 'x/a'), OWN)
})

t.test('nor to pods of a third node, but to itself', async (t) => {
  const third = { nodes: [node(2, { name: 'pi-3', podCidrs: [parseCidr('10.42.3.0/24')] })] }
  t.equal(whoReaches(withLiar('10.42.3.9', third), 'x/a', { sources: ['10.42.3.9'] }), '')
  t.equal(whoReaches(withLiar('10.42.3.9', third, 'pi-3'), 'x/a', { sources: ['10.42.3.9'] }), '10.42.3.9')
})

t.test('where the nodes do not say it, a pod has the addresses that it says', async (t) => {
  t.equal(whoReaches(withLiar('10.99.0.7'), 'x/a', { sources: ['10.99.0.7'] }), '10.99.0.7', 'another IPAM')
  const unknown = { nodes: [node(2, { podCidrs: [] })] }
  t.equal(whoReaches(withLiar('10.42.2.9', unknown), 'x/a', { sources: ['10.42.2.9'] }), '10.42.2.9')
})

t.test('of two nodes with one CIDR the pods of both may be there, but none beside those of this one', async (t) => {
  const places = new PodPlaces('pi-1')
  places.take('pi-1', [parseCidr('10.42.1.0/24')])
  places.take('pi-2', [parseCidr('10.42.0.0/16')])
  places.take('pi-3', [parseCidr('10.42.3.0/24')])
  t.equal(places.otherNode({ nodeName: 'pi-2' }, '10.42.3.9'), undefined)
  t.equal(places.otherNode({ nodeName: 'pi-3' }, '10.42.3.9'), undefined)
  t.equal(places.otherNode({ nodeName: 'pi-4' }, '10.42.3.9'), 'pi-2')
  t.equal(places.otherNode({ nodeName: 'pi-2' }, '10.42.1.9'), 'pi-1')
  t.ok(places.take('pi-2', []))
  t.notOk(places.take('pi-2', []))
  t.equal(places.otherNode({ nodeName: 'pi-4' }, '10.42.3.9'), 'pi-3')
})
