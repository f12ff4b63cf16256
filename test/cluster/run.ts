/**
 * Bramble on a real cluster, from `kubectl apply` to the last trace gone; prints a line for each thing that was tried.
 *
 *     node test/cluster/run.ts          `kubectl` must reach a cluster of two nodes or more that has no pod network yet
 *
 *     KUBECTL="PROGRAM ARGS"            instead of kubectl
 *     API_SERVER_PID=N                  on this machine: stopped for a minute
 *     RESTART_KUBELET=PROGRAM           called with a node's name after that node was deleted, so that it registers again
 *
 * What the last two are missing for is left out, and the line says so.
 */
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { agentFootprints, failedSandboxes } from './agents.ts'
import { apply, get, kubectl, until } from './kubectl.ts'
import { leftovers } from './leftovers.ts'
import {
  deployment,
  fetchFrom,
  hostPods,
  hostUrlOf,
  idlePods,
  makeNamespace,
  NAMESPACE,
  ready,
  type TrialPod,
  urlOf,
} from './pods.ts'
import { type Arrived, streamsDuring } from './streams.ts'

const DEPLOY = fileURLToPath(new URL('../../deploy/', import.meta.url))
const API_SERVER_AWAY_MS = 60_000
const IDLE_MS = 60_000
const READY_S_MOST = 15

let failures = 0
const nodeCount = (await get('nodes')).items.length
await trial(`apply to all ${nodeCount} nodes Ready`, async () => {
  const startedMs = performance.now()
  await kubectl(['apply', '-f', `${DEPLOY}bramble.yaml`])
  await until('all nodes are Ready', async () => (await readyNodes()).length === nodeCount)
  const tookS = (performance.now() - startedMs) / 1000
  return [tookS <= READY_S_MOST, `${tookS.toFixed(1)} s (at most ${READY_S_MOST})`]
})
await kubectl(['rollout', 'status', '-n', 'kube-system', 'daemonset/bramble', '--timeout=60s'])

await makeNamespace()
await apply(...deployment('web', 60), ...deployment('stream', nodeCount + 1), hostPods('host'))
const pods = await ready('web', 60, 300)
const senders = await ready('stream', nodeCount + 1)
const hosts = await ready('host', nodeCount)
const askers = [...new Map(pods.map((pod) => [pod.node, pod])).values()]

await trial('a pod of each node reaches 60 pods', () =>
  allReached(
    askers,
    pods.flatMap((pod) => urlOf(pod)),
  ),
)
await trial('a pod of each node reaches all nodes', () => allReached(askers, hosts.flatMap(hostUrlOf)))
await trial('hostNetwork pods reach 60 pods and all nodes', () =>
  allReached(hosts, [...pods.flatMap((pod) => urlOf(pod)), ...hosts.flatMap(hostUrlOf)]),
)
await trial('a Service is reached from pods and nodes, and leads to all nodes', async () => {
  const { spec } = await get('service', 'web', '-n', NAMESPACE)
  const url = urlOf({ addresses: spec.clusterIPs }, 80)[0] ?? ''
  const fetched = (await Promise.all([...askers, ...hosts].map((pod) => fetchFrom(pod, Array(30).fill(url))))).flat()
  const nodes = new Set(fetched.map(({ node }) => node))
  const failed = fetched.filter((one) => one.failed)
  return [
    failed.length === 0 && nodes.size === nodeCount,
    `${fetched.length - failed.length} of ${fetched.length}, ${nodes.size} nodes`,
  ]
})
await trial('a policy closes pods, and its end opens them', async () => {
  const deny = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'deny', namespace: NAMESPACE },
    spec: { podSelector: { matchLabels: { app: 'web' } }, policyTypes: ['Ingress'] },
  }
  const reached = async () =>
    (await fetchFrom(senders[0] as TrialPod, urlOf(pods[0] as TrialPod))).every((one) => !one.failed)
  const before = await reached()
  await apply(deny)
  const closedS = await until('the pod is closed', async () => !(await reached()))
  await kubectl(['delete', 'networkpolicy', 'deny', '-n', NAMESPACE])
  const openS = await until('the pod is open', reached)
  return [before, `closed seen after ${closedS.toFixed(1)} s, open after ${openS.toFixed(1)} s`]
})
await trial('rolling restart under traffic, pods coming and going', async () => {
  const arrived = await streamsDuring(senders, async () => {
    await kubectl(['rollout', 'restart', '-n', 'kube-system', 'daemonset/bramble'])
    await kubectl(['scale', '-n', NAMESPACE, 'deployment/web', '--replicas=90'])
    await kubectl(['rollout', 'status', '-n', 'kube-system', 'daemonset/bramble', '--timeout=110s'])
    await ready('web', 90, 180)
    await kubectl(['scale', '-n', NAMESPACE, 'deployment/web', '--replicas=60'])
    await ready('web', 60, 180)
  })
  const sandboxes = await failedSandboxes(NAMESPACE)
  return [arrived.lost === 0 && sandboxes === 0, `${inWords(arrived)}; ${sandboxes} ADDs or DELs failed`]
})
await trial('the API server stops for a minute', async () => {
  const pid = Number(process.env.API_SERVER_PID)
  if (!pid) return ['left out', 'API_SERVER_PID is not given']
  const restarts = await agentRestarts()
  const arrived = await streamsDuring(senders, async () => {
    process.kill(pid, 'SIGSTOP')
    await sleep(API_SERVER_AWAY_MS)
    process.kill(pid, 'SIGCONT')
    await until('the API server answers', async () => (await get('nodes')).items.length === nodeCount)
  })
  await until('all nodes are Ready', async () => (await readyNodes()).length === nodeCount)
  const more = (await agentRestarts()) - restarts
  return [arrived.lost === 0 && more === 0, `${inWords(arrived)}; agents restarted ${more} times`]
})
await trial('a node is removed and comes again', async () => {
  const program = process.env.RESTART_KUBELET
  if (!program) return ['left out', 'RESTART_KUBELET is not given']
  const node = senders[0]?.node ?? ''
  await kubectl(['delete', 'node', node])
  await until('its pods are elsewhere', async () =>
    (await ready('stream', nodeCount + 1)).every((pod) => pod.node !== node),
  )
  await new Promise((resolve, reject) =>
    spawn(program, [node], { stdio: 'ignore' }).on('close', resolve).on('error', reject),
  )
  const tookS = await until('it is Ready', async () => (await readyNodes()).includes(node))
  await kubectl(['rollout', 'status', '-n', 'kube-system', 'daemonset/bramble', '--timeout=110s'])
  await kubectl(['rollout', 'restart', '-n', NAMESPACE, 'deployment/web'])
  await kubectl(['rollout', 'status', '-n', NAMESPACE, 'deployment/web', '--timeout=110s'])
  const now = await ready('web', 60, 180)
  const all = await allReached(
    [...new Map(now.map((pod) => [pod.node, pod])).values()],
    now.flatMap((pod) => urlOf(pod)),
  )
  return [all[0] && now.some((pod) => pod.node === node), `Ready after ${tookS.toFixed(1)} s; ${all[1]}`]
})
await trial('agents when nothing happens, 200 pods in the cluster', async () => {
  await kubectl(['delete', '-n', NAMESPACE, 'deployment/web', 'deployment/stream', 'daemonset/host', '--timeout=110s'])
  await apply(idlePods('idle', 200))
  await ready('idle', 200, 400)
  await sleep(10_000)
  const [before, startedMs] = [await agentFootprints(), performance.now()]
  await sleep(IDLE_MS)
  const passedS = (performance.now() - startedMs) / 1000
  const after = await agentFootprints()
  const most = (values: readonly number[]) => Math.max(...values)
  const rssMib = most(after.map(({ rssMib }) => rssMib))
  const cpu = most(after.map(({ cpuS }, place) => (100 * (cpuS - (before[place]?.cpuS ?? 0))) / passedS))
  const bytes = most(after.map(({ writtenBytes }, place) => writtenBytes - (before[place]?.writtenBytes ?? 0)))
  const figures = `RSS ${rssMib.toFixed(0)} MiB (80), CPU ${cpu.toFixed(2)} % (0.5), ${bytes} bytes to disk (0)`
  return [rssMib <= 80 && cpu <= 0.5 && bytes === 0, figures]
})
await kubectl(['delete', 'namespace', NAMESPACE, '--timeout=110s'])
await trial('uninstalled, nothing is left', async () => {
  await kubectl(['apply', '-f', `${DEPLOY}uninstall.yaml`])
  await kubectl(['rollout', 'status', '-n', 'kube-system', 'daemonset/bramble', '--timeout=110s'])
  await kubectl(['delete', '-f', `${DEPLOY}bramble.yaml`, '--timeout=110s'])
  const marked = (await get('nodes')).items.filter((node: MarkedNode) => isMarked(node)).length
  const left = await leftovers(nodeCount)
  return [left.length === 0 && marked === 0, `${left.join('; ') || 'nothing'} on the nodes; ${marked} Nodes marked`]
})
process.exitCode = failures > 0 ? 1 : 0

/** Of a trial: whether it went well, and in what figures. */
type Outcome = readonly [boolean | 'left out', string]

async function trial(what: string, work: () => Promise<Outcome>): Promise<void> {
  let outcome: Outcome
  try {
    outcome = await work()
  } catch (error) {
    const { message, cause } = error as Error
    outcome = [false, cause ? `${message} (${(cause as Error).message})` : message]
  }
  const [isGood, figures] = outcome
  if (isGood === false) failures++
  process.stdout.write(`${isGood === true ? 'ok' : isGood || 'NOT OK'}: ${what}: ${figures}\n`)
}

function inWords({ sent, lost, tooLate }: Arrived): string {
  return `${lost} of ${sent} datagrams lost (${tooLate} more came to a pod that was too slow)`
}

async function allReached(from: readonly TrialPod[], urls: readonly string[]): Promise<readonly [boolean, string]> {
  const fetched = (await Promise.all(from.map((pod) => fetchFrom(pod, urls)))).flat()
  const failed = fetched.filter((one) => one.failed)
  const first = failed[0] ? `; ${failed[0].url}: ${failed[0].failed}` : ''
  return [failed.length === 0, `${fetched.length - failed.length} of ${fetched.length}${first}`]
}

interface MarkedNode {
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> }
  readonly status: { readonly conditions: readonly { readonly reason: string }[] }
}

function isMarked({ metadata, status }: MarkedNode): boolean {
  const names = Object.keys(metadata.annotations ?? {})
  return (
    names.some((name) => name.startsWith('bramble.dev/')) ||
    status.conditions.some(({ reason }) => /^Bramble/.test(reason))
  )
}

async function readyNodes(): Promise<string[]> {
  const { items } = await get('nodes')
  const isReady = ({ type, status }: { type: string; status: string }) => type === 'Ready' && status === 'True'
  return items
    .filter(({ status }: { status: { conditions: { type: string; status: string }[] } }) =>
      status.conditions.some(isReady),
    )
    .map(({ metadata }: { metadata: { name: string } }) => metadata.name)
}

async function agentRestarts(): Promise<number> {
  const { items } = await get('pods', '-n', 'kube-system', '-l', 'app.kubernetes.io/name=bramble')
  return items
    .flatMap(
      ({ status }: { status: { containerStatuses?: { restartCount: number }[] } }) => status.containerStatuses ?? [],
    )
    .reduce((sum: number, { restartCount }: { restartCount: number }) => sum + restartCount, 0)
}
