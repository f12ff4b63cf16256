import type { PoolUse } from '../../ipam/pool.ts'
import { LOOPS, type Loop } from '../activity.ts'
import { forwardingProblems } from '../forwarding.ts'
import type { AgedText } from '../observe/history.ts'
import { damageOf, type Trouble } from '../observe/node-events.ts'
import { waysToPeers } from '../observe/now.ts'
import { spaceProblem } from '../state-space.ts'
import type { Agent } from './agent.ts'

/** Of many nodes behind one way these are named. */
const NODES_NAMED = 5

export interface Status {
  readonly version: string
  readonly nodeName: string
  readonly pid: number
  readonly uptimeSeconds: number
  readonly datastore: string
  readonly podCidrs: readonly string[]
  readonly mtuBytes: number
  readonly pods: number
  /** That are known, whether they are about a pod of this node or not. */
  readonly policies: number
  /** Other nodes that are known. */
  readonly peers: number
  /** Container calls that run or wait at this moment. */
  readonly callsUnderWay: number
  readonly linksToDelete: number
  readonly memoryRssBytes: number
  readonly problems: readonly string[]
  /** Absent: the agent does not serve yet. */
  readonly detail?: StatusDetail
}

export interface StatusDetail {
  readonly pools: readonly PoolUse[]
  /** How the other nodes' pods are reached; `none`: they are not. */
  readonly ways: readonly WayRow[]
  /** What tells of the cluster. */
  readonly source: {
    /** Absent: nothing on the network. */
    readonly server?: string
    /** Absent: it is heard. */
    readonly awaySeconds?: number
    /** Absent: it has told nothing yet. */
    readonly changedSecondsAgo?: number
    /** How far this node's clock is ahead of the server's; below 0: behind. Absent: it has not told. */
    readonly clockAheadSeconds?: number
  }
  /** When each of them last had everything as it should be, in seconds. */
  readonly settledSecondsAgo: Readonly<Partial<Record<Loop, number>>>
  /** `problems`, with their age. */
  readonly problems: readonly AgedText[]
  /** What failed last, and is over: a call of the container runtime, or a problem. */
  readonly lastError?: AgedText
  /** What another program changed and is as it was again; the last of each loop, the newest first. */
  readonly repairs: readonly (AgedText & { readonly loop: Loop })[]
}

export interface WayRow {
  readonly way: string
  readonly count: number
  /** The first of them, by name. */
  readonly nodes: readonly string[]
}

/** @throws KernelError */
export async function status(agent: Agent): Promise<Status> {
  const { network, nodes, policies, turns, options, version, observation } = agent
  const problems = problemsOf(agent)
  observation.history.look(problems)
  return {
    version,
    nodeName: options.nodeName,
    pid: process.pid,
    uptimeSeconds: Math.round(process.uptime()),
    datastore: options.datastore,
    podCidrs: network.leases.pools.map(({ cidr }) => cidr.text),
    mtuBytes: await network.mtuBytes(),
    pods: network.leases.list().length,
    policies: policies.count,
    peers: nodes.peers,
    callsUnderWay: turns.busy,
    linksToDelete: network.condemned.count,
    memoryRssBytes: process.memoryUsage.rss(),
    problems,
    detail: detail(agent, problems),
  }
}

/** All that a person should know, in words; empty is good. */
export function problemsOf({
  network,
  options,
  installation,
  ports,
  repair,
  nodes,
  policies,
  observation,
}: Agent): string[] {
  const full = network.leases.pools.filter((pool) => pool.isExhausted)
  const all = [
    ...full.map(({ cidr, capacity }) => `no address is free in ${cidr.text}: all ${capacity} are held`),
    ...forwardingProblems(network.leases.pools.map(({ cidr }) => cidr.family)),
    ...[spaceProblem(options.stateDir)].filter((problem) => problem !== undefined),
    ...installation.problems,
    ...ports.problems,
    ...repair.problems,
    ...nodes.problems,
    ...policies.problems,
    ...observation.problems,
  ]
  return [...new Set(all)] // of a server that is away, nodes and policies tell alike
}

/** What of it the cluster is told in Events. */
export function troubleOf(agent: Agent): Omit<Trouble, 'repairs'> {
  const { network, nodes, ports, repair, policies, installation } = agent
  return {
    degraded: [...nodes.problems, ...ports.problems, ...repair.problems],
    policies: policies.failure === undefined ? [] : [policies.failure],
    exhaustedCidrs: network.leases.pools.filter((pool) => pool.isExhausted).map(({ cidr }) => cidr.text),
    installation: installation.problems,
  }
}

function detail({ network, nodes, source, touch, observation }: Agent, problems: readonly string[]): StatusDetail {
  const nowMs = performance.now()
  const ago = (atMs: number) => Math.max(0, Math.round((nowMs - atMs) / 1000))
  const { recorder, history } = observation
  const { failedCall } = recorder
  const errors = [
    ...(failedCall ? [{ text: `${failedCall.command}: ${failedCall.reason}`, atMs: failedCall.atMs }] : []),
    ...[history.gone()].filter((gone) => gone !== undefined),
  ]
  const lastError = errors.sort((a, b) => b.atMs - a.atMs)[0]
  const { server, changedAtMs } = touch
  const { clockMs } = source
  return {
    pools: network.leases.use(),
    ways: wayRows(waysToPeers(nodes)),
    source: {
      ...(server !== undefined && { server }),
      ...(touch.isAway && { awaySeconds: Math.round(touch.ageSeconds) }),
      ...(changedAtMs !== undefined && { changedSecondsAgo: ago(changedAtMs) }),
      ...(clockMs !== undefined && { clockAheadSeconds: Math.round((Date.now() - clockMs) / 1000) }),
    },
    settledSecondsAgo: Object.fromEntries(
      LOOPS.flatMap((loop) => {
        const atMs = recorder.lastPassMs(loop)
        return atMs === undefined ? [] : [[loop, ago(atMs)]]
      }),
    ),
    problems: problems.map((text) => ({ text, secondsAgo: ago(history.sinceMs(text) ?? nowMs) })),
    repairs: recorder.lastRepairs().map((repair) => ({
      loop: repair.loop,
      text: damageOf(repair),
      secondsAgo: ago(repair.atMs),
    })),
    ...(lastError && { lastError: { text: lastError.text, secondsAgo: ago(lastError.atMs) } }),
  }
}

function wayRows(peers: ReadonlyMap<string, readonly string[]>): WayRow[] {
  const pairs = [...peers].flatMap(([node, ways]) => ways.map((way) => ({ node, way })))
  return Array.from(
    Map.groupBy(pairs, ({ way }) => way),
    ([way, all]) => ({
      way,
      count: all.length,
      nodes: all
        .map(({ node }) => node)
        .sort()
        .slice(0, NODES_NAMED),
    }),
  ).sort((a, b) => (a.way < b.way ? -1 : 1))
}
