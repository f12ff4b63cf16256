import t from 'tap'
import { judge, type Site, type Wired, wiredAsTold } from './oracle.ts'
import { isIn, isStrictlyInside, numberOf } from './oracle-addresses.ts'
import type { RawCluster, RawFlow, RawNetworkPolicy, RawPeer, RawPod, RawPort } from './oracle-objects.ts'

/** What the oracle says where docs/decisions/0013 chooses; the rest is in the matrix, spelled out by hand there. */

const pod = (name: string, node: number, ip: string, spec: Partial<RawPod['spec']> = {}): RawPod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace: 'x', name, uid: name, labels: { app: name } },
  spec: { nodeName: `node${node}`, containers: [], ...spec },
  status: { phase: 'Running', podIPs: [{ ip }] },
})

const HTTP = { containers: [{ name: 'main', ports: [{ name: 'http', containerPort: 8080 }] }] }
const A = pod('a', 1, '10.42.1.10', HTTP)
const B = pod('b', 2, '10.42.2.10', HTTP)
const HOST = pod('host', 2, '192.168.1.2', { ...HTTP, hostNetwork: true })

const node = (number: number) => ({
  apiVersion: 'v1' as const,
  kind: 'Node' as const,
  metadata: { name: `node${number}`, labels: { zone: `${number}` } },
  spec: { podCIDRs: [`10.42.${number}.0/24`] },
  status: { addresses: [{ type: 'InternalIP', address: `192.168.1.${number}` }] },
})

interface Rules {
  readonly ingress?: readonly { readonly from?: readonly RawPeer[]; readonly ports?: readonly RawPort[] }[]
  readonly egress?: readonly { readonly to?: readonly RawPeer[]; readonly ports?: readonly RawPort[] }[]
}

const policy = (rules: Rules, app = 'a', annotations = {}): RawNetworkPolicy => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { namespace: 'x', name: 'one', annotations },
  spec: { podSelector: { matchLabels: { app } }, policyTypes: rules.egress ? ['Egress'] : ['Ingress'], ...rules },
})

const cluster = (policies: RawCluster['policies'], pods = [A, B, HOST]): RawCluster => ({
  pods,
  namespaces: [],
  nodes: [node(1), node(2)],
  policies,
})

const flow = (source: string, destination: string, port = 8080, protocol: RawFlow['protocol'] = 'TCP'): RawFlow => ({
  source,
  destination,
  protocol,
  destinationPort: port,
})

/** On node1. */
function passes(cluster: RawCluster, flow: RawFlow, change: Partial<Site> = {}): boolean {
  const wired = wiredAsTold(cluster, 'node1')
  return judge(cluster, { nodeName: 'node1', wired, mode: 'default', failsOpen: false, ...change }, flow).passes
}

const [FROM_B, TO_B] = [flow('10.42.2.10', '10.42.1.10'), flow('10.42.1.10', '10.42.2.10')]
const denied = cluster([policy({ ingress: [] })])

t.test('a pod and its own node reach each other, and the pod itself, whatever is denied', async (t) => {
  t.notOk(passes(denied, FROM_B))
  t.ok(passes(denied, flow('192.168.1.1', '10.42.1.10')))
  t.ok(passes(denied, flow('10.42.1.0', '10.42.1.10')), 'by its tunnel address, too')
  t.ok(passes(denied, flow('10.42.1.10', '10.42.1.10')))
  t.notOk(passes(denied, flow('192.168.1.2', '10.42.1.10')), 'but another node does not')
})

t.test('no selector means a pod with the network of its node; an address does', async (t) => {
  const fromHost = flow('192.168.1.2', '10.42.1.10')
  t.notOk(passes(cluster([policy({ ingress: [{ from: [{ podSelector: {} }] }] })]), fromHost))
  t.ok(passes(cluster([policy({ ingress: [{ from: [{ ipBlock: { cidr: '192.168.1.2/32' } }] }] })]), fromHost))
})

t.test('who means a node by its address means its tunnel address', async (t) => {
  const block = (cidr: string) => cluster([policy({ ingress: [{ from: [{ ipBlock: { cidr } }] }] })])
  t.ok(passes(block('192.168.1.2/32'), flow('10.42.2.0', '10.42.1.10')))
  t.notOk(passes(block('192.168.1.3/32'), flow('10.42.2.0', '10.42.1.10')))
  t.notOk(passes(block('192.168.1.2/32'), flow('10.42.2.1', '10.42.1.10')))
})

t.test('a named port is that of a pod: of the one that is meant, of anybody where an address is', async (t) => {
  const to = (...to: RawPeer[]) => cluster([policy({ egress: [{ to, ports: [{ port: 'http' }] }] })])
  const toApp = (app: string) => to({ podSelector: { matchLabels: { app } } })
  t.ok(passes(toApp('b'), TO_B))
  t.notOk(passes(toApp('b'), flow('10.42.1.10', '10.42.2.10', 80)))
  t.notOk(passes(toApp('a'), TO_B))
  t.ok(passes(to(), TO_B))
  t.ok(passes(to({ ipBlock: { cidr: '10.42.0.0/16' } }), TO_B))
  t.notOk(passes(to(), flow('10.42.1.10', '10.42.2.10', 8080, 'UDP')))
  t.notOk(passes(to(), flow('10.42.1.10', '192.168.1.2')), 'a node has none')
})

t.test('rules with ports are not about ICMP', async (t) => {
  const icmp = flow('10.42.2.10', '10.42.1.10', 0, 'ICMP')
  t.ok(passes(cluster([policy({ ingress: [{}] })]), icmp))
  for (const protocol of ['TCP', 'UDP', 'SCTP'])
    t.notOk(passes(cluster([policy({ ingress: [{ ports: [{ protocol }] }] })]), icmp), protocol)
})

t.test('pods without an address, or ended, are nobody; of two with one address either is meant', async (t) => {
  const fromB = policy({ ingress: [{ from: [{ podSelector: { matchLabels: { app: 'b' } } }] }] })
  const other = pod('other', 2, '10.42.2.10')
  const ended = { ...B, status: { ...B.status, phase: 'Succeeded' } }
  t.ok(passes(cluster([fromB]), FROM_B))
  t.notOk(passes(cluster([fromB], [A, ended]), FROM_B))
  t.notOk(passes(cluster([fromB], [A, other]), FROM_B))
  t.ok(passes(cluster([fromB], [A, other, B]), FROM_B))
})

t.test('modes: always closes whom nothing selects, never drops nothing', async (t) => {
  t.ok(passes(cluster([]), FROM_B))
  t.notOk(passes(cluster([]), FROM_B, { mode: 'always' }))
  t.ok(passes(cluster([policy({ ingress: [{}] })]), FROM_B, { mode: 'always' }))
  t.notOk(passes(cluster([policy({ ingress: [{}] })]), TO_B, { mode: 'always' }), 'each direction by itself')
  t.ok(passes(denied, FROM_B, { mode: 'never' }))
})

t.test('a pod that is not known is closed, or open if so told; a container of nobody is open', async (t) => {
  const wired = (change: Partial<Wired>) => ({
    wired: [{ pod: 'x/a', uid: 'a', addresses: ['10.42.1.10'], isUnknown: false, ...change }],
  })
  const open = cluster([])
  t.ok(passes(open, FROM_B, wired({})))
  for (const change of [{ isUnknown: true }, { pod: 'x/stranger' }, { uid: 'older' }]) {
    t.notOk(passes(open, FROM_B, wired(change)), JSON.stringify(change))
    t.ok(passes(open, FROM_B, { ...wired(change), failsOpen: true }))
    t.ok(passes(open, FROM_B, { ...wired(change), mode: 'never' }))
  }
  t.ok(passes(denied, FROM_B, wired({ pod: undefined })))
  t.ok(passes(open, FROM_B, { ...wired({ pod: undefined }), mode: 'always' }))
})

t.test('a pod of this node has the address that the agent gave it', async (t) => {
  const wired = [{ pod: 'x/a', addresses: ['10.42.1.99'], isUnknown: false }]
  t.notOk(passes(denied, flow('10.42.2.10', '10.42.1.99'), { wired }))
  t.ok(passes(denied, FROM_B, { wired }), 'and not what the API says')
})

t.test('what is no CIDR matches nobody, nor does one with an exception that is no part of it', async (t) => {
  const block = (ipBlock: RawPeer['ipBlock'] & object) => cluster([policy({ ingress: [{ from: [{ ipBlock }] }] })])
  t.ok(passes(block({ cidr: '10.42.2.0/24', except: ['10.42.2.11/32'] }), FROM_B))
  t.notOk(passes(block({ cidr: '10.42.2.0/24', except: ['10.42.2.10/32'] }), FROM_B))
  for (const except of ['10.42.2.0/24', '10.42.3.0/24', 'fd42::/64', 'x'])
    t.notOk(passes(block({ cidr: '10.42.2.0/24', except: [except] }), FROM_B), except)
  t.notOk(passes(block({ cidr: '10.42.2.0/33' }), FROM_B))
})

t.test('addresses are numbers', async (t) => {
  t.equal(numberOf('10.42.1.2'), 0x0a2a0102n)
  t.equal(numberOf('fd42::1'), (0xfd42n << 112n) + 1n)
  t.equal(numberOf('::'), 0n)
  for (const wrong of ['10.42.1', '10.42.1.256', 'fd42::1::2', '1:2:3', 'x', ''])
    t.equal(numberOf(wrong), undefined, wrong)
  t.ok(isIn('10.42.1.7/30', '10.42.1.4') && !isIn('10.42.1.7/30', '10.42.1.8'))
  t.ok(isIn('::/0', 'fd42::') && !isIn('::/0', '10.42.1.2') && !isIn('0.0.0.0/0', 'fd42::'))
  t.ok(isStrictlyInside('10.42.1.0/25', '10.42.1.0/24') && !isStrictlyInside('10.42.1.0/24', '10.42.1.0/24'))
})
