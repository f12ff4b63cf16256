import t, { type Test } from 'tap'
import type { ApiObject } from '../../../../agent/cluster/kubernetes/answers.ts'
import { ApiClient } from '../../../../agent/cluster/kubernetes/client.ts'
import { NetworkCondition } from '../../../../agent/cluster/kubernetes/network-condition.ts'
import { ApiDouble } from './api-double.ts'
import { until } from './until.ts'

const NODES = '/api/v1/nodes'
const READY = { type: 'Ready', status: 'True' }
const TAKEN = { type: 'NetworkUnavailable', status: 'True', reason: 'NoRouteCreated' }
const FLANNEL = { type: 'NetworkUnavailable', status: 'False', reason: 'FlannelIsUp' }

async function fixture(t: Test, conditions: object[], backoff = { firstMs: 1, mostMs: 5 }) {
  const double = await ApiDouble.start()
  const client = new ApiClient({ server: double.url, skipsTlsVerify: false })
  const troubles: (string | undefined)[] = []
  const condition = new NetworkCondition(client, `${NODES}/pi-1`, (trouble) => troubles.push(trouble), backoff)
  t.teardown(async () => {
    await condition.close()
    client.close()
    await double.close()
  })
  const put = (...conditions: object[]) =>
    double.objects.put(NODES, { metadata: { name: 'pi-1' }, status: { conditions } }) as unknown as ApiObject
  const reason = () => {
    const node = double.objects.get(NODES, 'pi-1') as unknown as { status: { conditions: (typeof TAKEN)[] } }
    return node.status.conditions.find(({ type }) => type === 'NetworkUnavailable')?.reason
  }
  return { double, troubles, condition, node: put(...conditions), put, reason }
}

/** Longer than a patch that was under way would have taken. */
const soon = () => new Promise((resolve) => setTimeout(resolve, 100))

t.test('nothing is said before pods have a network', async (t) => {
  const { double, condition, node, reason } = await fixture(t, [READY, TAKEN])
  condition.seen(node)
  await soon()
  t.equal(double.count('patch'), 0)
  condition.want()
  await until('it is said', () => reason() === 'BrambleIsUp')
})

t.test('the word of a network before us is replaced, and other conditions stay', async (t) => {
  for (const before of [[READY, TAKEN], [READY, FLANNEL], [READY]]) {
    const { double, condition, node, reason } = await fixture(t, before)
    condition.want()
    condition.seen(node)
    await until('it is said', () => reason() === 'BrambleIsUp')
    const { status } = double.objects.get(NODES, 'pi-1') as unknown as { status: { conditions: object[] } }
    t.strictSame(status.conditions[0], READY)
    t.match(status.conditions[1], { status: 'False', lastTransitionTime: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/ })
  }
})

t.test('a cloud that says it again is contradicted', async (t) => {
  const { condition, node, put, reason } = await fixture(t, [READY, TAKEN])
  condition.want()
  condition.seen(node)
  await until('it is said', () => reason() === 'BrambleIsUp')
  condition.seen(put(READY, TAKEN))
  await until('it is said again', () => reason() === 'BrambleIsUp')
})

t.test('without the right to do so, which right is missing is told', async (t) => {
  const { double, condition, node, troubles } = await fixture(t, [READY, TAKEN])
  double.forbidden.add('patch nodes/status')
  condition.want()
  condition.seen(node)
  await until('it is told', () => troubles.length > 0)
  t.match(troubles[0], /NetworkUnavailable cannot be taken away.*verb "patch" on "nodes\/status"/)
  double.forbidden.clear()
  await until('it is over', () => troubles.at(-1) === undefined)
})
