import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { ApiDouble } from '../agent/cluster/kubernetes/api-double.ts'
import { kubeconfigText } from '../agent/cluster/kubernetes/kubeconfig-text.ts'
import { type Agent, until } from './agent.ts'
import { inside, type LabNode, lanAddress, makeLans, plugIn, spawnMember } from './cluster.ts'
import { enterScratchNode } from './scratch.ts'

/** Two agents with an API server: what each tells of itself is read on the other, and its troubles are Events. */

const BRAMBLECTL = fileURLToPath(new URL('../../bin/bramblectl.ts', import.meta.url))
const NODES = '/api/v1/nodes'
const EVENTS = '/api/v1/events'
const N1: LabNode = { name: 'n1', number: 1, lan: 'a' }
const N2: LabNode = { name: 'n2', number: 2, lan: 'a' }

await enterScratchNode()
await makeLans()
const api = await ApiDouble.start({ host: '192.168.1.254', port: 6443 })
api.objects.install(EVENTS, { apiVersion: 'v1', kind: 'Event' })
writeFileSync('/run/kubeconfig', kubeconfigText({ server: api.url }))
const agents = new Map<string, Agent>()
for (const node of [N1, N2]) {
  await plugIn(node)
  api.objects.put(NODES, {
    metadata: { name: node.name },
    spec: { podCIDRs: [`10.42.${node.number}.0/24`] },
    status: { addresses: [{ type: 'InternalIP', address: lanAddress(node) }] },
  })
  agents.set(node.name, spawnMember(node, '--datastore=kubernetes', '--kubeconfig=/run/kubeconfig'))
}
t.teardown(async () => {
  await Promise.all([...agents.values()].map((agent) => agent.stop('SIGKILL')))
  await api.close()
})

const annotation = (name: string) => {
  const metadata = api.objects.get(NODES, name)?.metadata as { annotations?: Record<string, string> } | undefined
  return metadata?.annotations?.['bramble.dev/status']
}
const ctl = ({ name }: LabNode, ...args: string[]) =>
  inside(name, process.execPath, BRAMBLECTL, ...args, '--socket', `/run/bramble-${name}/agent.sock`)

t.test('each agent publishes how it is, in one annotation beside the one that nodes act upon', async (t) => {
  for (const agent of agents.values()) await agent.ready()
  await until('both have', () => annotation('n1') !== undefined && annotation('n2') !== undefined)
  t.match(JSON.parse(String(annotation('n1'))), { version: /^\d/, pods: 0, mtuBytes: 1500, problems: 0 })
  t.ok(String(annotation('n1')).length < 400)
})

t.test('an agent compares its clock with that of the API server', async (t) => {
  const ahead = async () => (await agents.get('n1')?.ask('status'))?.detail?.source.clockAheadSeconds
  t.ok(Math.abs((await ahead()) ?? Infinity) < 30)
  api.clockAheadMs = 86_400_000
  api.disconnect()
  await until('it is a day behind', async () => Math.abs(((await ahead()) ?? 0) + 86_400) < 30)
  const { stdout } = await ctl(N1, 'doctor', '-o', 'json')
  const findings: { check: string }[] = JSON.parse(stdout).findings
  t.match(
    findings.filter(({ check }) => check === 'clock'),
    [{ what: /is 24 h behind that of the API server/ }],
  )
  api.clockAheadMs = 0
  api.disconnect()
  await until('no more', async () => Math.abs((await ahead()) ?? Infinity) < 30)
})

t.test('status --all has one line for each node, whichever one is asked', async (t) => {
  for (const node of [N1, N2]) {
    await until(
      'it has heard of the other',
      async () => !(await ctl(node, 'status', '--all')).stdout.includes('silent'),
    )
    const { exitCode, stdout } = await ctl(node, 'status', '--all')
    t.match(stdout, /^NODE .*\nn1 .* good\nn2 .* good\n$/)
    t.equal(exitCode, 0)
  }
})

t.test('a node without an agent is named, with what to do, and exit code 1', async (t) => {
  api.objects.put(NODES, { metadata: { name: 'n3' }, spec: { podCIDRs: ['10.42.3.0/24'] }, status: { addresses: [] } })
  await until('it is known', async () => (await ctl(N1, 'status', '--all')).stdout.includes('n3'))
  const { exitCode, stdout } = await ctl(N1, 'status', '--all')
  t.match(stdout, /\nn3 .*no agent has ever run on it: .*kubectl describe node n3/)
  t.equal(exitCode, 1)
  const json = JSON.parse((await ctl(N1, 'status', '--all', '-o', 'json')).stdout)
  t.match(json, [
    { node: 'n1', isSilent: false },
    { node: 'n2', secondsAgo: Number },
    { node: 'n3', isSilent: true },
  ])
})

t.test('of a node whose agent has gone nobody says that it is good: its cluster knows at once', async (t) => {
  const text = async () => (await ctl(N1, 'status', '--all')).stdout
  // Not "good": by now its agent may have told of n3.
  const isOver = async () =>
    (await agents.get('n1')?.ask('status all'))?.find(({ node }) => node === 'n2')?.trouble === undefined
  const pod = (status: string, reason: string) =>
    api.objects.put('/api/v1/pods', {
      metadata: { name: 'bramble-x', namespace: 'net', labels: { 'app.kubernetes.io/name': 'bramble' } },
      spec: { nodeName: 'n2', hostNetwork: true, containers: [{ name: 'agent' }] },
      status: {
        conditions: [{ type: 'Ready', status }],
        containerStatuses: [{ state: { waiting: { reason } } }],
      },
    })
  pod('False', 'CrashLoopBackOff')
  await until('it is told', async () =>
    /\nn2 .* its agent does not run: CrashLoopBackOff; kubectl -n net logs bramble-x --previous\n/.test(await text()),
  )
  t.match(JSON.parse((await ctl(N1, 'status', '--all', '-o', 'json')).stdout), [
    {},
    { node: 'n2', isSilent: false, trouble: { text: String } },
    {},
  ])
  pod('True', '')
  await until('and that it is over', isOver)
  const ready = (status: string) =>
    api.objects.mergePatch(NODES, 'n2', { status: { conditions: [{ type: 'Ready', status }] } })
  ready('Unknown')
  await until('its node is away', async () => /\nn2 .* the node is away: its kubelet is not heard/.test(await text()))
  ready('True')
  await until('and back', isOver)
})

t.test('the other node hears of trouble, with the words that its own status has', async (t) => {
  const [problem] = (await agents.get('n1')?.ask('status'))?.problems ?? []
  t.match(problem, 'n3')
  await until('n2 has heard', async () => {
    const row = (await agents.get('n2')?.ask('status all'))?.find(({ node }) => node === 'n1')
    const { problem: heard, problems } = row?.status ?? {}
    return heard !== undefined && problem?.startsWith(heard) === true && problems === 1 // cut, where it is long
  })
})

t.test('kubectl describe node shows it: an Event with the same words, counted by whoever comes next', async (t) => {
  const events = () =>
    api.objects.list(EVENTS).filter(({ involvedObject }) => (involvedObject as { name: string }).name === 'n1')
  await until('it is there', () => events().length > 0)
  t.match(events(), [{ reason: 'NetworkDegraded', type: 'Warning', count: 1, message: /n3/ }])
})

t.test('the API server goes: status says so, and since when', async (t) => {
  await api.close()
  await until('it says so', async () => (await ctl(N1, 'status')).stdout.includes(' is away since '))
  t.equal((await ctl(N1, 'status')).exitCode, 1)
  t.match((await ctl(N1, 'status', '--all')).stdout, /\nn2 .* not known: the API server \S+ is away \(since \d+ s\)/)
})
