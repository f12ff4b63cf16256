import t from 'tap'
import type { ClusterView } from '../../../agent/cluster/view.ts'
import { isRenumbered } from '../../../agent/nodes/join.ts'
import { parseCidr } from '../../../ipam/address.ts'

const CIDRS = ['10.42.1.0/24', 'fd42:0:0:1::/64'].map(parseCidr)
const viewWith = (...podCidrs: string[]): ClusterView => ({
  nodes: new Map([['pi-1', { name: 'pi-1', addresses: [], podCidrs: podCidrs.map(parseCidr) }]]),
})
const is = (datastore: string, view?: ClusterView) => isRenumbered(view, { datastore, nodeName: 'pi-1' }, CIDRS)

t.test('Kubernetes may give a node that was made anew other pod CIDRs', async (t) => {
  t.ok(is('kubernetes', viewWith('10.42.9.0/24', 'fd42:0:0:1::/64')))
  t.ok(is('kubernetes', viewWith('10.42.1.0/24')))
  t.notOk(is('kubernetes', viewWith('fd42:0:0:1::/64', '10.42.1.0/24')), 'in another order')
  t.notOk(is('kubernetes', viewWith()), 'not yet')
  t.notOk(is('kubernetes', { nodes: new Map() }))
  t.notOk(is('kubernetes'))
})

t.test('what a Node in Redis or in a manifest says does not count', async (t) => {
  for (const datastore of ['redis', 'local']) t.notOk(is(datastore, viewWith('10.42.9.0/24')), datastore)
})
