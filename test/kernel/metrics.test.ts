import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { METRICS } from '../../agent/observe/catalogue.ts'
import { until } from './agent.ts'
import { inside, lanAddress } from './cluster.ts'
import { type LabPod, N1, N2, PolicyLab } from './policy/lab.ts'
import { Prometheus } from './prometheus.ts'
import { capture } from './scratch.ts'

/** A real Prometheus scrapes real agents of two nodes, with real pods, policies and troubles on them. */

const PORT = 9739
const lab = await PolicyLab.start([N1, N2], `--metrics-address=0.0.0.0:${PORT}`)
const targets = [N1, N2].map((node) => `${lanAddress(node)}:${PORT}`)
const instance = String(targets[0])
const prometheus = await Prometheus.start(targets)
t.teardown(async () => {
  await prometheus.stop()
  await lab.stop()
})

const DROPPED =
  'bramble_policy_packets_total{effect="dropped",direction="ingress",policy="NetworkPolicy shop/quiet-web"}'

const scrape = async (path = '/metrics') => (await fetch(`http://${instance}${path}`)).text()
/** The value of the only series of n1 that fits; undefined while there is none. */
const value = async (selector: string) => {
  const [series, ...more] = await prometheus.query(selector.replace('{', `{instance="${instance}",`))
  if (more.length > 0) throw new Error(`${selector} is more than one series`)
  return series && Number(series.value[1])
}
const untilValue = (selector: string, expected: number) =>
  until(`${selector} is ${expected}`, async () => (await value(selector)) === expected)

const untilDropped = () =>
  until('a packet is dropped and counted', async () => {
    await inside(client.netns, 'ping', '-c', '1', '-W', '1', String(web.addresses[0]))
    return ((await value(DROPPED)) ?? 0) > 0
  })

let web: LabPod
let client: LabPod

t.test('both agents are scraped without an error', async (t) => {
  await until('both are up', async () => (await prometheus.query('up == 1')).length === 2)
  t.same(await prometheus.scrapeErrors(), ['', ''])
  await untilValue('bramble_ready{}', 1)
})

t.test('pods that start, and one that cannot, are counted with how long it took', async () => {
  web = await lab.addPod({ namespace: 'shop', name: 'web' })
  client = await lab.addPod({ namespace: 'shop', name: 'client' })
  await lab.addPod({ namespace: 'shop', name: 'far', node: N2 })
  await lab.call('ADD', N1, web.netns).catch(() => {}) // it is there already: 101
  await untilValue('bramble_pods{}', 2)
  await untilValue('bramble_cni_call_duration_seconds_count{command="ADD",outcome="success"}', 2)
  await untilValue('bramble_cni_call_duration_seconds_count{command="ADD",outcome="error"}', 1)
  await untilValue('bramble_cni_call_duration_seconds_bucket{command="ADD",outcome="success",le="+Inf"}', 2)
  await untilValue('bramble_cni_errors_total{command="ADD",code="101"}', 1)
  await untilValue('bramble_pool_used_addresses{cidr="10.42.1.0/24"}', 2)
  await untilValue('bramble_pool_capacity_addresses{cidr="10.42.1.0/24"}', 255)
})

t.test('what policies drop is counted by policy and direction, as the kernel counts it', async (t) => {
  lab.put({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { namespace: 'shop', name: 'quiet-web' },
    spec: { podSelector: {}, policyTypes: ['Ingress'], ingress: [] },
  })
  await lab.settled()
  await untilDropped()
  t.ok(((await value(DROPPED.replace('_packets_', '_bytes_'))) ?? 0) >= 84)
  await untilValue('bramble_policies{}', 1)
})

t.test('a peer is shown with its way, one that is not reached with none', async (t) => {
  lab.put({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n3' }, spec: { podCIDRs: ['10.42.3.0/24'] } })
  await untilValue('bramble_peer_way{peer="n2",way="direct"}', 1)
  await untilValue('bramble_peer_way{peer="n3",way="none"}', 1)
  await untilValue('bramble_peers{}', 2)
  await until('it is a problem', async () => ((await value('bramble_problems{}')) ?? 0) > 0)
  await until('the alert waits', async () =>
    (await prometheus.rules()).some(({ name, state }) => name === 'BramblePeerNotReached' && state !== 'inactive'),
  )
  t.match(await lab.agents[0]?.ask('status'), {
    detail: {
      ways: [
        { way: 'direct', nodes: ['n2'] },
        { way: 'none', nodes: ['n3'] },
      ],
    },
  })
})

t.test('what somebody takes away is put back, and counted', async (t) => {
  const repairs = (loop: string) => `bramble_drift_repairs_total{loop="${loop}"}`
  t.same(await Promise.all(['nodes', 'pods', 'policies'].map((loop) => value(repairs(loop)))), [0, 0, 0])
  await inside('n1', 'ip', 'route', 'delete', '10.42.2.0/24')
  await inside('n1', 'ip', 'route', 'delete', String(web.addresses[0]))
  await inside('n1', 'nft', 'delete', 'table', 'inet', 'bramble-policy')
  for (const loop of ['nodes', 'pods', 'policies'])
    await until(`${loop} are put back`, async () => ((await value(repairs(loop))) ?? 0) > 0)
})

t.test('Prometheus knows every metric that we say we have, by its type and help', async (t) => {
  const metadata = await prometheus.metadata()
  for (const [name, { type, help }] of Object.entries(METRICS)) t.match(metadata[name], [{ type, help }], name)
  const scraped = await prometheus.metricNames()
  const ours = Object.entries(METRICS).flatMap(([name, { type }]) =>
    type === 'histogram' ? ['_bucket', '_sum', '_count'].map((suffix) => name + suffix) : [name],
  )
  t.same(scraped.filter((name) => /^(bramble|process)_/.test(name)).sort(), ours.sort())
})

t.test('every expression of the dashboard and of the alerts is of metrics that there are', async (t) => {
  const known = new Set(await prometheus.metricNames())
  for (const expression of [...dashboardExpressions(), ...alertExpressions()]) {
    const runnable = expression.replaceAll('$__rate_interval', '1m').replaceAll('$node', '.*')
    await t.resolves(prometheus.query(runnable), runnable)
    for (const name of expression.match(/\b(bramble|process)_\w+/g) ?? []) t.ok(known.has(name), name)
  }
  for (const expression of dashboardExpressions()) {
    const runnable = expression.replaceAll('$__rate_interval', '1m').replaceAll('$node', '.*')
    t.ok((await prometheus.query(runnable)).length > 0, `${runnable} shows something`)
  }
  for (const { name, health } of await prometheus.rules()) t.equal(health, 'ok', name)
})

t.test('promtool has nothing to say against what an agent tells', async (t) => {
  t.same(await capture('promtool', ['check', 'metrics'], await scrape()), { exitCode: 0, stdout: '', stderr: '' })
})

t.test('what the kernel has counted goes on over a restart of the agent', async (t) => {
  await untilDropped()
  const dropped = Number(await value(DROPPED))
  await lab.restart(N1, 'SIGKILL')
  await untilValue('bramble_cni_call_duration_seconds_count{command="ADD",outcome="success"}', 0)
  await until('it is told again', async () => (await value(DROPPED)) !== undefined)
  t.ok(Number(await value(DROPPED)) >= dropped)
})

t.test('an agent whose port is taken serves pods, tells so, and takes it when it is free', async (t) => {
  await lab.end(N1, 'SIGTERM')
  const holder = spawn(
    'ip',
    ['netns', 'exec', 'n1', 'busybox', 'httpd', '-f', '-p', String(PORT), '-h', '/run/netns'],
    { stdio: 'ignore' },
  )
  t.teardown(() => holder.kill('SIGKILL'))
  await until('the port is taken', async () => (await inside('n1', 'ss', '-tlnH')).stdout.includes(`:${PORT}`))
  await lab.begin(N1)
  const problems = async () => (await lab.agents[0]?.ask('status'))?.problems ?? []
  await until('it says so', async () => (await problems()).some((one) => one.includes(`0.0.0.0:${PORT} is taken`)))
  await lab.call('DEL', N1, client.netns)
  holder.kill('SIGKILL')
  await until('it is scraped again', async () => (await value('up{}')) === 1)
  await until('nobody says so any more', async () => !(await problems()).some((one) => one.includes('is taken')))
})

function dashboardExpressions(): string[] {
  const { panels } = JSON.parse(read('dashboard.json')) as { panels: { targets?: { expr: string }[] }[] }
  return panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
}

function alertExpressions(): string[] {
  return Array.from(read('alerts.yaml').matchAll(/^ +expr: (.*)$/gm), ([, expression = '']) => expression)
}

function read(file: string): string {
  return readFileSync(new URL(`../../deploy/monitoring/${file}`, import.meta.url), 'utf8')
}
