import t, { type Test } from 'tap'
import { ApiClient } from '../../../../agent/cluster/kubernetes/client.ts'
import { KubernetesSource } from '../../../../agent/cluster/kubernetes/nodes.ts'
import { ServiceCidrs } from '../../../../agent/cluster/kubernetes/service-cidrs.ts'
import type { ViewProblem } from '../../../../agent/cluster/problem.ts'
import type { ViewChange } from '../../../../agent/cluster/view.ts'
import { startRealServer } from './real-server.ts'
import { DoubleServer } from './server.ts'
import { until } from './until.ts'

/* ServiceCIDR objects: networking.k8s.io/v1 has them since Kubernetes 1.33, and `kubernetes` is the first of them. */
const RESOURCE = '/apis/networking.k8s.io/v1/servicecidrs'
const EAGER = { firstMs: 1, mostMs: 20 }
const SELF = { name: 'pi-1', podCidrs: ['10.42.1.0/24'] }

async function start(t: Test, { isOld = false } = {}): Promise<DoubleServer> {
  const server = await DoubleServer.start()
  t.teardown(() => server.close())
  if (!isOld) server.double.objects.install(RESOURCE, { apiVersion: 'networking.k8s.io/v1', kind: 'ServiceCIDR' })
  await server.create(SELF)
  return server
}

function put({ double }: DoubleServer, name: string, cidrs: unknown): void {
  double.objects.put(RESOURCE, { metadata: { name }, spec: { cidrs } })
}

function listen(t: Test, server: DoubleServer) {
  const source = new KubernetesSource(new ApiClient(server.access), SELF.name, EAGER)
  t.teardown(() => source.close())
  const changes: ViewChange[] = []
  const problems: ViewProblem[] = []
  const join = () => source.join((some) => problems.push(...some))
  return { source, changes, problems, join, start: () => source.start((change) => changes.push(change)) }
}

const textsOf = (cidrs: readonly { readonly text: string }[] = []) => cidrs.map(({ text }) => text)

t.test('whoever has joined knows the addresses of Services, and so does the first view', async (t) => {
  const server = await start(t)
  put(server, 'kubernetes', ['10.96.0.0/12', 'fd00:10:96::/112'])
  put(server, 'more', ['10.200.0.0/24'])
  const { source, join, changes, start: begin } = listen(t, server)
  await join()
  const all = ['10.96.0.0/12', 'fd00:10:96::/112', '10.200.0.0/24']
  t.same(textsOf(source.serviceCidrs), all)
  begin()
  await until('a view', () => changes.some(({ view }) => view !== undefined))
  t.same(textsOf(changes.find(({ view }) => view)?.view?.serviceCidrs), all)
})

t.test('a source that has not joined tells no view without them, and loses no change by that', async (t) => {
  const server = await start(t)
  put(server, 'kubernetes', ['10.96.0.0/12'])
  server.double.fault = ({ path }) => (path === RESOURCE ? { kind: 'slow', ms: 200 } : undefined)
  const { changes, start: begin } = listen(t, server)
  begin()
  await until('a view', () => changes.some(({ view }) => view !== undefined))
  t.match(
    changes.filter(({ view }) => view),
    [{ changed: new Set(['pi-1']), view: { serviceCidrs: [{ text: '10.96.0.0/12' }] } }],
  )
})

t.test('an API server before 1.33 has none, which is no problem', async (t) => {
  const { join, source, changes, problems, start: begin } = listen(t, await start(t, { isOld: true }))
  await join()
  t.same(source.serviceCidrs, [])
  begin()
  await until('a view', () => changes.some(({ view }) => view !== undefined))
  t.notOk(changes.at(-1)?.view?.serviceCidrs)
  t.same([...problems, ...changes.flatMap((change) => change.problems)], [])
})

t.test('without the right to read them the node joins, and it is told which right is missing', async (t) => {
  const server = await start(t)
  server.double.forbidden.add('list servicecidrs')
  const { join, changes, start: begin } = listen(t, server)
  t.same(textsOf(await join()), SELF.podCidrs)
  begin()
  await until('it is told', () => (changes.at(-1)?.problems.length ?? 0) > 0)
  t.match(changes.at(-1), {
    view: { nodes: new Map([['pi-1', {}]]) },
    problems: [{ reason: /"list" on "servicecidrs\.networking\.k8s\.io".*--service-cidr/ }],
  })
})

t.test('while the API server answers them with an error, a node that joins waits, and says for what', async (t) => {
  const server = await start(t)
  put(server, 'kubernetes', ['10.96.0.0/12'])
  server.double.fault = ({ path }) => (path === RESOURCE ? { kind: 'answer', status: 500, body: '' } : undefined)
  const { join, source, problems } = listen(t, server)
  const joined = join()
  await until('it says so', () => problems.length > 0)
  t.match(problems, [{ reason: /cannot list servicecidrs\.networking\.k8s\.io: 500/ }])
  server.double.fault = () => undefined
  await joined
  t.same(textsOf(source.serviceCidrs), ['10.96.0.0/12'])
})

t.test('one that is added or changed is heard of; one that is none is a problem, and the rest stays', async (t) => {
  const server = await start(t)
  put(server, 'kubernetes', ['10.96.0.0/12'])
  let heard = 0
  const client = new ApiClient(server.access)
  const cidrs = new ServiceCidrs(client, () => heard++, EAGER, { quiet: 5, troubled: 5 })
  t.teardown(async () => {
    await cidrs.close()
    client.close()
  })
  cidrs.start()
  await until('the first', () => cidrs.cidrs.length === 1)
  const [first, count] = [cidrs.cidrs, server.double.count('list')]
  await until('it has asked again', () => server.double.count('list') > count + 2)
  t.equal(cidrs.cidrs, first, 'the same list while they are the same')
  t.equal(heard, 1)
  put(server, 'more', ['10.200.0.0/24'])
  await until('both', () => cidrs.cidrs.length === 2)
  put(server, 'more', ['10.200.0.1/24'])
  await until('it is told', () => cidrs.problems.length > 0)
  t.match(cidrs.problems, [{ object: 'ServiceCIDR', reason: /^more: spec\.cidrs: .*10\.200\.0\.0\/24/ }])
  t.equal(cidrs.cidrs.length, 2)
  put(server, 'more', ['10.201.0.0/24'])
  await until('that', () => textsOf(cidrs.cidrs).includes('10.201.0.0/24'))
  t.same(cidrs.problems, [])
})

const { KUBEBUILDER_ASSETS: assets } = process.env
if (assets)
  t.test('a real API server tells the addresses that it was started with', async (t) => {
    const server = await startRealServer(assets)
    t.teardown(() => server.close())
    const client = new ApiClient(server.access)
    const cidrs = new ServiceCidrs(client, () => {}, EAGER, { quiet: 100, troubled: 100 })
    t.teardown(async () => {
      await cidrs.close()
      client.close()
    })
    cidrs.start()
    await until('they are there', () => cidrs.cidrs.length > 0)
    t.same(textsOf(cidrs.cidrs), ['10.96.0.0/16'])
    t.same(cidrs.problems, [])
  })
