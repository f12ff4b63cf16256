import t from 'tap'
import { DesiredPolicy } from '../../../agent/ruleset/desired.ts'
import { renderTable } from '../../../agent/ruleset/render.ts'
import { CLIENT, input, localPod, networkPolicy, pod } from './compile-cluster.ts'

const POLICY = networkPolicy('web', { ingress: [{ from: [CLIENT] }] })
/** Of pi-2, as the pod client is, whose labels it has. */
const liar = (...addresses: string[]) => pod('shop/liar', { labels: { app: 'client' }, addresses })

function desiredOf(...pods: ReturnType<typeof pod>[]) {
  const state = input({ policies: [POLICY], pods })
  const desired = new DesiredPolicy(state)
  desired.update(state)
  return { state, desired }
}

t.test('a pod of another node that claims an address of this one is in no set, and is told by its name', async (t) => {
  const { desired } = desiredOf(liar('10.42.1.2', '10.42.2.9'))
  const table = renderTable(desired.table)
  t.match(table, '{ 10.42.2.3, 10.42.2.9 }')
  t.same(desired.problems, [
    {
      object: 'Pod shop/liar',
      reason:
        "status.podIPs: 10.42.1.2 is for pods of node pi-1, and it is on node pi-2: it is nobody's peer by this address; delete the pod if it is gone, or correct its status",
    },
  ])
})

t.test('what is told stays the same list until it is another, and goes with the pod', async (t) => {
  const { desired, state } = desiredOf(liar('10.42.1.2'))
  const { problems } = desired
  desired.update(state)
  t.equal(desired.problems, problems)
  desired.update(input({ policies: [POLICY] }))
  t.same(desired.problems, [])
})

t.test('an address in nobody’s pod CIDR is of the pod that this node gives it to', async (t) => {
  const { desired } = desiredOf(liar('10.9.0.5'))
  t.same(desired.problems, [])
  const given = localPod('shop/db', { addresses: ['10.9.0.5'] })
  const after = input({ policies: [POLICY], pods: [liar('10.9.0.5')], local: [localPod('shop/web'), given] })
  t.match([...desired.update(after).change.removedElements.values()], [['10.9.0.5']])
  t.match(desired.problems, [{ object: 'Pod shop/liar', reason: /10\.9\.0\.5 is that of a pod on this node/ }])
})
