import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { ApiDouble } from '../agent/cluster/kubernetes/api-double.ts'
import { type Agent, until } from './agent.ts'
import { inside, type LabNode, lanAddress, makeLans, plugIn, spawnMember } from './cluster.ts'
import { capture, enterScratchNode, type Output, run } from './scratch.ts'
import { forwardService, SmallKubelet } from './small-kubelet.ts'

/**
 * `bramblectl connectivity test` against two nodes with real agents, plugins and kernels. Of Kubernetes the API server is
 * a double, and kubelet a small one; a real cluster is for test/cluster.
 */
const BRAMBLECTL = fileURLToPath(new URL('../../bin/bramblectl.ts', import.meta.url))
const API = { host: '192.168.1.254', port: 6443 }
const NODES: readonly LabNode[] = [
  { name: 'n1', number: 1, lan: 'a' },
  { name: 'n2', number: 2, lan: 'b' },
]
const SERVICE = ['10.96.0.10', 'fd96::10']
const IMAGE = 'ghcr.io/bramble-net/bramble:v9.9.9'
const COMMAND = ['connectivity', 'test']
const NAMESPACES = '/api/v1/namespaces'
const DAEMON_SETS = '/apis/apps/v1/daemonsets'

await enterScratchNode()
await makeLans()
const api = await ApiDouble.start(API)
const outside = createServer((socket) => socket.on('error', () => {})).listen(443, API.host)
await once(outside, 'listening')
api.objects.install('/api/v1/services', { apiVersion: 'v1', kind: 'Service' })
api.objects.install('/api/v1/events', { apiVersion: 'v1', kind: 'Event' })
api.objects.install(DAEMON_SETS, { apiVersion: 'apps/v1', kind: 'DaemonSet' })
api.objects.put(DAEMON_SETS, {
  metadata: { namespace: 'kube-system', name: 'bramble' },
  spec: { template: { spec: { containers: [{ image: IMAGE }] } } },
})
writeFileSync(
  '/run/kubeconfig',
  JSON.stringify({
    'current-context': 'other',
    contexts: [{ name: 'here', context: { cluster: 'pis' } }],
    clusters: [{ name: 'pis', cluster: { server: api.url } }],
  }),
)
// A Service gets its addresses when it is made.
api.fault = ({ verb, resource, path }) => {
  if (verb !== 'create' || resource !== '/api/v1/services') return undefined
  const metadata = { name: 'server', namespace: path.split('/')[4] }
  return {
    kind: 'answer',
    status: 201,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ metadata, spec: { clusterIP: SERVICE[0], clusterIPs: SERVICE } }),
  }
}
const agents: Agent[] = []
for (const node of NODES) {
  await plugIn(node)
  api.objects.put('/api/v1/nodes', {
    metadata: { name: node.name },
    spec: { podCIDRs: [`10.42.${node.number}.0/24`, `fd42:0:0:${node.number}::/64`] },
    status: {
      addresses: [{ type: 'InternalIP', address: lanAddress(node) }],
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  })
}
api.objects.put('/api/v1/nodes', {
  metadata: { name: 'n9' },
  status: { conditions: [{ type: 'Ready', status: 'False' }] },
})
writeFileSync('/run/agents-kubeconfig', JSON.stringify({ ...configOf(), 'current-context': 'here' }))
for (const node of NODES)
  agents.push(spawnMember(node, '--datastore=kubernetes', '--kubeconfig=/run/agents-kubeconfig'))
for (const agent of agents) await agent.ready()
const kubelet = new SmallKubelet(api)
kubelet.onRunning = async (pod, addresses) => {
  if (pod !== 'server-0') return
  for (const { name } of NODES)
    for (const [index, address] of addresses.entries()) {
      await capture('ip', ['netns', 'exec', name, 'nft', `delete table ${index === 0 ? 'ip' : 'ip6'} services`])
      await forwardService(name, SERVICE[index] ?? '', address, 5202)
    }
}
t.after(async () => {
  await kubelet.close()
  outside.close()
  for (const agent of agents) await agent.stop()
  await api.close()
})

t.test('two nodes that are well: every line is good, and nothing is left', async (t) => {
  const { exitCode, stdout, stderr } = await test()
  t.equal(exitCode, 0, stdout)
  const good: Record<string, number> = {
    'pod to pod on its node: TCP': 2,
    'pod to pod on its node: UDP': 2,
    'pod to pod on its node: full size': 2,
    'pod to pod on another node: TCP': 2,
    'pod to pod on another node: UDP': 2,
    'pod to pod on another node: full size': 2,
    'pod to Service': 2,
    'node to pod on it': 2,
    'node to pod on another node': 2,
    'policy lets through': 4,
    'policy blocks': 4,
  }
  for (const [check, count] of Object.entries(good))
    for (const family of ['IPv4', 'IPv6'])
      t.match(stdout, new RegExp(`^${check} +${family} +good {2}${count} of ${count}$`, 'm'), `${check}, ${family}`)
  t.match(stdout, /^pod to its node +IPv4 +good {2}2 of 2$/m)
  t.match(stdout, /^pod to another node +IPv4 +good {2}2 of 2$/m)
  t.match(stdout, /^pod to outside +IPv4 +good {2}2 of 2$/m)
  t.match(stdout, /^pods of the test start +- +good {2}2 of 2$/m)
  t.match(stdout, /^nothing is left behind +- +good$/m)
  t.match(stdout, /^ {2}pod asks DNS: there is no Service kube-dns in kube-system$/m)
  t.match(stdout, /^ {2}pods of the test start: node n9 is not Ready; see: kubectl describe node n9$/m)
  t.match(stderr, new RegExp(`^namespace bramble-test-[0-9a-f]{6}, image ${IMAGE}, nodes n1, n2$`, 'm'))
  t.match(stderr, /^tried: \d+ of \d+$/m, 'progress is shown')
  await isClean(t)
})

t.test('a way between nodes that is cut is named by both ends, with what to look at', async (t) => {
  // What comes out of the tunnel on n2 is dropped: its own pods are well.
  const chain = 'add chain inet wall in { type filter hook forward priority 10 ; }'
  const rule = 'add rule inet wall in iifname "bramble.vxlan" ip daddr 10.42.2.0/24 tcp dport 5202 drop'
  await inside('n2', 'nft', `add table inet wall\n${chain}\n${rule}`)
  const { exitCode, stdout } = await test('--no-policy', '--outside', 'none')
  await inside('n2', 'nft', 'delete table inet wall')
  t.equal(exitCode, 1)
  t.match(stdout, /^pod to pod on another node: TCP +IPv4 +1 of 2: FAILED$/m)
  t.match(stdout, /^pod to pod on another node: TCP +IPv6 +good {2}2 of 2$/m)
  t.match(stdout, /^pod to pod on its node: TCP +IPv4 +good {2}2 of 2$/m)
  t.match(
    stdout,
    /^ {2}pod to pod on another node: TCP, pod on n1 to pod on n2 \(10\.42\.2\.\d+\): no connection within .*\n {6}look: on n1: sudo bramblectl nodes .*\n {6}look: on n2: sudo bramblectl doctor/m,
  )
  t.notMatch(stdout, 'policy lets through')
  await isClean(t)
})

t.test('a pod that does not start is told in the words of the plugin; the rest is tried all the same', async (t) => {
  kubelet.failing.set('n2', 'plugin type="bramble" failed (add): no address is free in 10.42.2.0/24: all 254 are held')
  const child = start('--no-policy', '--outside', 'none', '--node', 'n1', '--node', 'n2', '-o', 'json')
  // Nobody waits for a pod that never comes: this one kubelet gives up.
  await until('the pod is waited for', () => api.objects.list('/api/v1/pods').length === 2)
  const failed = api.objects.list('/api/v1/pods').find(({ metadata }) => metadata.name === 'server-1')
  if (failed) {
    const waiting = { reason: 'CrashLoopBackOff' }
    api.objects.put('/api/v1/pods', {
      ...failed,
      status: { phase: 'Pending', containerStatuses: [{ state: { waiting } }] },
    })
  }
  const { exitCode, stdout } = await child.ended
  kubelet.failing.clear()
  t.equal(exitCode, 1)
  const rows: { check: string; node: string; result: string; words: string }[] = JSON.parse(stdout)
  t.match(
    rows.filter(({ result }) => result === 'failed'),
    [
      {
        check: 'pods of the test start',
        node: 'n2',
        words: /^FailedCreatePodSandBox: .*no address is free in 10\.42\.2\.0\/24/,
      },
    ],
  )
  t.ok(rows.some(({ check, result }) => check === 'pod to pod on its node: TCP' && result === 'good'))
  await isClean(t)
})

t.test('interrupted, it takes its namespace away and ends with 130', async (t) => {
  const child = start()
  await until('it is in the middle', () => child.said().includes('pods start: 2 of 2'))
  child.kill('SIGINT')
  t.equal((await child.ended).exitCode, 130)
  t.match(
    child.said(),
    /interrupted: what was made is taken away.*\n.*namespace bramble-test-[0-9a-f]{6} is taken away/s,
  )
  await isClean(t)
})

t.test(
  'what tests have left that were killed: an old namespace goes, a young one is named, --clean takes it',
  async (t) => {
    const labels = { 'bramble.dev/connectivity-test': 'true' }
    const put = (name: string, ageMs: number, more: object = { labels }) =>
      api.objects.put(NAMESPACES, {
        metadata: { name, creationTimestamp: new Date(Date.now() - ageMs).toISOString(), ...more },
      })
    put('bramble-test-old000', 3_600_000)
    put('bramble-test-new000', 60_000)
    put('bramble-test-mine', 3_600_000, {}) // somebody's own, which has no label
    put('dear', 3_600_000, { labels }) // a label alone makes nobody ours
    const child = start('--no-policy')
    await until('it is in the middle', () => child.said().includes('pods start: 2 of 2'))
    child.kill('SIGTERM')
    t.equal((await child.ended).exitCode, 143)
    t.match(child.said(), 'namespace bramble-test-old000 was left by a test that was killed: it is removed')
    t.match(
      child.said(),
      'namespace bramble-test-new000 is there: of a test that runs now, or was killed; --clean removes it',
    )
    const names = () => api.objects.list(NAMESPACES).map(({ metadata }) => metadata.name)
    t.same(names(), ['bramble-test-mine', 'bramble-test-new000', 'dear'])

    const cleaned = await test('--clean')
    t.equal(cleaned.exitCode, 0, cleaned.stderr)
    t.same(names(), ['bramble-test-mine', 'dear'])
    for (const name of names()) api.objects.delete(NAMESPACES, name)
  },
)

t.test('what stands in the way is told in one line, and nothing is made', async (t) => {
  api.forbidden.add('create namespaces')
  t.match(await test(), {
    exitCode: 1,
    stderr: /\nbramblectl: the API server .* does not let us create \/api\/v1\/namespaces \(403\)/,
  })
  api.forbidden.clear()
  t.match(await test('--node', 'n7'), {
    exitCode: 1,
    stderr: /\nbramblectl: there is no node n7; see: kubectl get nodes\n$/,
  })
  t.match(await test('--node', 'n9'), {
    exitCode: 1,
    stderr: /\nbramblectl: no node is Ready; see: kubectl describe nodes/,
  })
  api.objects.delete(DAEMON_SETS, 'kube-system/bramble')
  t.match(await test(), {
    exitCode: 1,
    stderr: /\nbramblectl: there is no DaemonSet kube-system\/bramble .* --image REFERENCE\n$/,
  })
  t.match(await runAlone('--kubeconfig', '/run/none'), {
    exitCode: 1,
    stderr: 'bramblectl: there is no kubeconfig /run/none; name another: --kubeconfig FILE\n',
  })
  await isClean(t)
})

t.end()

function configOf() {
  const cluster = { server: `http://${API.host}:${API.port}` }
  return {
    contexts: [{ name: 'here', context: { cluster: 'pis' } }],
    clusters: [{ name: 'pis', cluster }],
  }
}

/** By the context that is not the current one. */
function argsFor(more: readonly string[]): string[] {
  const outside = more.includes('--outside') ? [] : ['--outside', `${API.host}:443`]
  return [...COMMAND, '--kubeconfig', '/run/kubeconfig', '--context', 'here', ...outside, ...more]
}

function test(...more: readonly string[]): Promise<Output> {
  return start(...more).ended
}

function runAlone(...args: readonly string[]): Promise<Output> {
  return capture(process.execPath, [BRAMBLECTL, ...COMMAND, ...args])
}

function start(...more: readonly string[]) {
  const child = spawn(process.execPath, [BRAMBLECTL, ...argsFor(more)], { stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const ended = once(child, 'close').then(([code]): Output => ({ exitCode: code ?? 128, stdout, stderr }))
  return { kill: (signal: NodeJS.Signals) => child.kill(signal), said: () => stderr, ended }
}

/** Neither in the cluster nor on the nodes. */
async function isClean(t: Test): Promise<void> {
  await until('all pods have ended', () => kubelet.count === 0)
  t.same(api.objects.list('/api/v1/pods'), [])
  t.same(api.objects.list(NAMESPACES), [])
  for (const [index, { name }] of NODES.entries()) {
    await until('their links are gone', async () => !(await run('ip', '-n', name, 'link')).includes('brm'))
    t.same(await agents[index]?.ask('ipam check'), [])
  }
}
