import { setTimeout as sleep } from 'node:timers/promises'
import { type Agent, startAgent } from './agent.ts'
import { startApiServer } from './api-server.ts'
import { nodeObject, SELF_OPTIONS } from './big-cluster.ts'
import { callAgent } from './client.ts'
import { answerCommands } from './cluster-process.ts'
import { KernelWrites } from './kernel-writes.ts'
import type { Pod } from './pods.ts'
import {
  FREE_NAMESPACE,
  NAMESPACES,
  NODES,
  namespaceName,
  namespaceObject,
  namespaceOf,
  PODS_PER_NODE,
  podObject,
  podSettings,
  policyObjects,
  type Tier,
  tierOf,
} from './policed-objects.ts'

/*
 * A policed cluster with one real node, on that node: its API server, the agent, and a listener that hears what the agent
 * makes of what happens.
 *
 *     node bench/policed-cluster.ts AGENT POLICED_NAMESPACE,… < commands > answers
 *
 * One line each way: `fill NAME` wires the node's pods in the namespaces `NAME0` …; `restart` gives seconds from the view, and
 * from the start of an agent, until its table is in the kernel; `change TIMES` milliseconds from events to the kernel's
 * word of them; `churn SECONDS` the agent's CPU time in per cent while pods of other nodes come and go; `add ROUNDS`
 * milliseconds of ADDs in the namespaces `peer0` …; `rss`, `peak` its memory in MiB; `end` the bytes that it wrote
 * to disks: what it has told the kernel stays.
 */
const OWN_NETNS = '/proc/self/ns/net'
const API = {
  nodes: '/api/v1/nodes',
  pods: '/api/v1/pods',
  namespaces: '/api/v1/namespaces',
  policies: '/apis/networking.k8s.io/v1/networkpolicies',
} as const
const TOLD = 'the table of policies is in the kernel'
/** Nothing follows any more, and the next event finds an agent that has turned to other things. */
const PAUSE_MS = 30
const CHURN_PODS_PER_S = 100
const ADDED_PER_ROUND = 25

const [, , program = '', policed = ''] = process.argv
const { double, kubeconfig } = await startApiServer()
/** When the agent that was started last has asked for what comes after its first list of a kind. */
const watchedAtMs = new Map<string, number>()
double.fault = ({ verb, resource }) => {
  if (verb === 'watch' && !watchedAtMs.has(resource))
    watchedAtMs.set(resource, performance.timeOrigin + performance.now())
  return undefined
}
/** Of each pod, how often it has been replaced. */
const generations = new Map<number, number>()
let disksBytes = 0
putAll()
const writes = new KernelWrites(OWN_NETNS)
let agent = await start()

await answerCommands({
  fill: (prefix) => fill(prefix),
  restart,
  change: (times) => change(Number(times)),
  churn: (seconds) => churn(Number(seconds)),
  add: (rounds) => add(Number(rounds)),
  rss: async () => agent.rssMib(),
  peak: async () => agent.peakRssMib(),
  end: async () => {
    await stop()
    return disksBytes
  },
})

function putAll(): void {
  for (let number = 0; number < NODES; number++) double.objects.put(API.nodes, nodeObject(number))
  double.objects.put(API.namespaces, {
    metadata: { name: FREE_NAMESPACE, labels: { 'kubernetes.io/metadata.name': FREE_NAMESPACE } },
  })
  const namespaces = new Set<number>()
  for (let number = 0; number < NODES * PODS_PER_NODE; number++) {
    double.objects.put(API.pods, podObject(podSettings(number)))
    namespaces.add(namespaceOf(number))
  }
  for (const number of namespaces) double.objects.put(API.namespaces, namespaceObject(number))
  for (const number of policed.split(','))
    for (const policy of policyObjects(Number(number))) double.objects.put(API.policies, policy)
}

async function start(): Promise<Agent> {
  watchedAtMs.clear()
  const options = ['--datastore', 'kubernetes', '--kubeconfig', kubeconfig, ...SELF_OPTIONS]
  const started = await startAgent(program, options)
  while (started.saidAtMs(TOLD).length === 0) await sleep(20)
  return started
}

async function stop(): Promise<void> {
  disksBytes += agent.diskBytes()
  await agent.stop()
}

/** As the runtime knows a pod of the API server. */
function runtimePod(netns: string, { namespace, name }: { namespace: string; name: string }): Pod {
  const uid = double.objects.get(API.pods, `${namespace}/${name}`)?.metadata.uid ?? ''
  return { containerId: `${namespace}-${name}-${netns}`, netns: `/run/netns/${netns}`, pod: { namespace, name, uid } }
}

async function fill(prefix: string): Promise<void> {
  for (let number = 0; number < PODS_PER_NODE; number++)
    await callAgent(agent.socket, 'ADD', runtimePod(`${prefix}${number}`, podSettings(number)))
}

async function restart(): Promise<{ fromView: number; fromStart: number }> {
  await stop()
  const startedMs = performance.timeOrigin + performance.now()
  agent = await start()
  const [toldMs = Number.NaN] = agent.saidAtMs(TOLD)
  const kinds = [API.nodes, API.pods, API.namespaces, API.policies]
  const viewMs = Math.max(...kinds.map((resource) => watchedAtMs.get(resource) ?? Number.NaN))
  return { fromView: (toldMs - viewMs) / 1000, fromStart: (toldMs - startedMs) / 1000 }
}

/** Pods of this node and of others become web or data, and rules of policies change, each time to something new. */
async function change(times: number): Promise<{ own: number[]; other: number[]; policy: number[] }> {
  const ms = { own: [] as number[], other: [] as number[], policy: [] as number[] }
  const data = Array.from({ length: PODS_PER_NODE }, (_, number) => number).filter(
    (number) => tierOf(number) === 'data',
  )
  for (let time = 0; time < times; time++) {
    const [own = 0, cycle] = [data[time % data.length], Math.floor(time / data.length)]
    // One whose namespace has a pod of this node that lets web in.
    const other = own + NAMESPACES * (1 + (cycle % 40))
    const relabelled = (number: number, tier: Tier) => podObject(podSettings(number, generations.get(number), tier))
    const turned = relabelled(other, tierOf(other) === 'web' ? 'data' : 'web')
    ms.other.push(await timed(() => double.objects.put(API.pods, turned)))
    const [, , policy] = policyObjects(namespaceOf(own), 5433 + cycle)
    ms.policy.push(await timed(() => policy && double.objects.put(API.policies, policy)))
    for (const tier of ['web', 'data'] as const)
      ms.own.push(await timed(() => double.objects.put(API.pods, relabelled(own, tier))))
  }
  return ms
}

async function timed(happen: () => void): Promise<number> {
  const written = writes.all(['ruleset'])
  const startedMs = performance.now()
  happen()
  await written
  await sleep(PAUSE_MS * (1 + Math.random())) // it may be more than one transaction
  return writes.lastMs - startedMs
}

/** Each second so many pods of other nodes end and are replaced, with all that the API server tells of it. */
async function churn(seconds: number): Promise<number> {
  const startedMs = performance.now()
  const before = agent.cpuMs()
  const all = seconds * CHURN_PODS_PER_S
  for (let done = 0; done < all; done++) {
    const dueMs = startedMs + (done * 1000) / CHURN_PODS_PER_S
    if (dueMs > performance.now()) await sleep(dueMs - performance.now())
    replace(PODS_PER_NODE + ((done * 37) % ((NODES - 1) * PODS_PER_NODE)))
  }
  return ((agent.cpuMs() - before) / (performance.now() - startedMs)) * 100
}

function replace(number: number): void {
  const generation = generations.get(number) ?? 0
  generations.set(number, generation + 1)
  const old = podSettings(number, generation)
  const { nodeName, addresses, ...fresh } = podSettings(number, generation + 1)
  const put = (settings: Parameters<typeof podObject>[0]) => double.objects.put(API.pods, podObject(settings))
  put({ ...old, isEnding: true })
  put(fresh)
  put({ ...fresh, nodeName })
  put({ ...fresh, nodeName, addresses })
  double.objects.delete(API.pods, `${old.namespace}/${old.name}`)
}

/** In turns: pods that five policies select, and pods that none does; the API server has told of both. */
async function add(rounds: number): Promise<{ policed: number[]; free: number[] }> {
  const ms = { policed: [] as number[], free: [] as number[] }
  for (let round = 0; round < rounds; round++) {
    const pods: [Pod, number[]][] = []
    for (let number = 0; number < ADDED_PER_ROUND; number++)
      for (const [namespace, place, all] of [
        [namespaceName(number), number, ms.policed],
        [FREE_NAMESPACE, number + ADDED_PER_ROUND, ms.free],
      ] as const) {
        const settings = { ...podSettings(number), namespace, name: `new-${round}-${number}`, addresses: [] }
        double.objects.put(API.pods, podObject(settings))
        pods.push([runtimePod(`peer${place}`, settings), all])
      }
    await sleep(500) // the watch tells of them
    for (const [pod, all] of pods) all.push(await callAgent(agent.socket, 'ADD', pod))
    for (const [pod] of pods) await callAgent(agent.socket, 'DEL', pod)
    await sleep(500) // their links go
  }
  return ms
}
