import t, { type Test } from 'tap'
import { ApiClient, type Timeouts } from '../../../../agent/cluster/kubernetes/client.ts'
import { KubernetesSource } from '../../../../agent/cluster/kubernetes/nodes.ts'
import type { ViewChange } from '../../../../agent/cluster/view.ts'
import { Touch } from '../../../../agent/observe/touch.ts'
import { ApiDouble, type ApiDoubleOptions } from './api-double.ts'
import { until } from './until.ts'

/** A server whose connections stay while it says nothing: kernels answer their probes, so only asking tells. */

const EAGER = { firstMs: 1, mostMs: 20 }
const NODES = '/api/v1/nodes'

/** An agent's whole view; what watches themselves would notice comes too late to matter. */
async function fixture(t: Test, { quietMs = 100, answerMs = 100, ...options }: ApiDoubleOptions & Partial<Timeouts>) {
  const double = await ApiDouble.start(options)
  double.objects.put(NODES, { metadata: { name: 'pi-1' }, spec: { podCIDRs: ['10.42.1.0/24'] } })
  const client = new ApiClient(
    { server: double.url, skipsTlsVerify: false },
    { quietMs, answerMs, watchMs: 60_000, headMs: 200 },
  )
  const source = new KubernetesSource(client, 'pi-1', EAGER)
  const touch = new Touch(source.server.name)
  const changes: ViewChange[] = []
  t.teardown(async () => {
    await source.close()
    await double.close()
  })
  source.start((change) => {
    changes.push(change)
    touch.heard(change)
  })
  source.workloads.start(() => {})
  await until('it watches nodes, pods, namespaces and policies', () => double.watches.size === 4)
  const asked = () => double.requests.filter(({ path }) => path === '/version')
  return { double, touch, changes, asked }
}

/** As a process that is stopped: connections stay, those that there are and new ones. */
function hang(double: ApiDouble): void {
  double.fault = () => ({ kind: 'silence' })
  for (const watch of double.watches) watch.silence()
}

t.test('a server that hangs is asked, and its silence is told in words, with the age of the view', async (t) => {
  const { double, touch, changes, asked } = await fixture(t, {})
  hang(double)
  await until('it counts as away', () => touch.isAway)
  t.match(changes.at(-1)?.problems, [
    { object: `the API server ${double.url}`, reason: /^not reachable \(ETIMEDOUT, no answer within 0\.1 s\), / },
  ])
  t.match(changes.at(-1)?.view?.nodes.get('pi-1'), { name: 'pi-1' }, 'what was known stays')
  t.not(asked().length, 0)
})

t.test('every watch ends then, and all come back over new connections once it answers', async (t) => {
  const { double, touch, changes } = await fixture(t, {})
  const ports = new Set(double.requests.map(({ port }) => port))
  hang(double)
  await until('it counts as away', () => touch.isAway)
  await until('no old watch is left', () => double.watches.size === 0)
  double.fault = () => undefined
  await until('all watch again', () => double.watches.size === 4)
  await until('it is heard', () => !touch.isAway)
  for (const { verb, port } of double.requests.slice(-4)) if (verb === 'watch') t.notOk(ports.has(port))
  double.objects.put(NODES, { metadata: { name: 'pi-2' }, spec: { podCIDRs: ['10.42.2.0/24'] } })
  await until('and changes are followed', () => changes.at(-1)?.view?.nodes.has('pi-2') === true)
})

t.test('a server that answers when asked keeps its watches, whatever the answer is', async (t) => {
  const { double, touch, asked } = await fixture(t, { quietMs: 20, answerMs: 5_000 })
  const watches = [...double.watches]
  await until('it is asked, and again', () => asked().length >= 2)
  double.fault = ({ path }) => (path === '/version' ? { kind: 'answer', status: 403, body: '' } : undefined)
  const { length } = asked()
  await until('and again', () => asked().length >= length + 2)
  double.fault = ({ path }) => (path === '/version' ? { kind: 'answer', status: 200, body: '<html>' } : undefined)
  await until('and again', () => asked().length >= length + 4)
  t.same([...double.watches], watches)
  t.notOk(touch.isAway)
})

t.test('nobody is asked while anything comes on any watch', async (t) => {
  const { double, asked } = await fixture(t, { quietMs: 3_000 })
  const [one] = double.watches
  const endMs = performance.now() + 4_000
  let bookmarks = 0
  while (performance.now() < endMs) {
    one?.bookmark()
    bookmarks++
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  t.ok(bookmarks > 10)
  t.same(asked(), [])
})

t.test('a server that is only slow to answer, and speaks meanwhile, is not given up', async (t) => {
  const { double, touch, asked } = await fixture(t, { answerMs: 500 })
  const watches = [...double.watches]
  double.fault = ({ path }) => (path === '/version' ? { kind: 'silence' } : undefined)
  await until('it is asked', () => asked().length === 1)
  double.bookmark()
  await until('and again, since it has spoken', () => asked().length === 2)
  t.same([...double.watches], watches)
  t.notOk(touch.isAway)
})
