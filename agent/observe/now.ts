import type { PolicyEnforcement } from '../enforcement/enforcement.ts'
import type { NodeNetwork } from '../nodes/network.ts'
import type { Options } from '../options.ts'
import type { PodNetwork } from '../pods/network.ts'
import type { Turns } from '../pods/turns.ts'
import type { Now } from './families.ts'
import type { PublishedStatus } from './published-status.ts'
import type { Touch } from './touch.ts'

/** What is looked at: one per agent. */
export interface Observed {
  readonly network: PodNetwork
  readonly nodes: NodeNetwork
  readonly policies: PolicyEnforcement
  readonly turns: Turns
  readonly touch: Touch
  readonly options: Options
  readonly version: string
  /** As `bramblectl status` tells them. */
  readonly problems: () => readonly string[]
}

/** Asks the kernel for what it has counted, and for nothing else. */
export async function now(observed: Observed): Promise<Now> {
  const { network, nodes, policies, turns, touch, options, version } = observed
  const { table } = policies
  // A kernel without nftables, or one that is busy, takes nothing else from whoever looks.
  const counted = await policies.counters().catch(() => undefined)
  return {
    version,
    nodeVersion: process.versions.node,
    datastore: options.datastore,
    problems: observed.problems().length,
    callsUnderWay: turns.busy,
    pods: network.leases.list().length,
    linksToDelete: network.condemned.count,
    pools: network.leases.use(),
    viewAgeSeconds: touch.ageSeconds,
    viewChanges: touch.changes,
    peers: waysToPeers(nodes),
    mtuBytes: await network.mtuBytes(),
    policies: policies.count,
    ...(table && {
      table: {
        elements: sizes(table.sets) + sizes(table.maps),
        chains: table.chains.size,
        counters: [...table.counters.values()],
      },
    }),
    counted,
  }
}

/** The same in a few words, for people on other nodes. @throws KernelError */
export async function publishedStatus({
  network,
  nodes,
  policies,
  options,
  version,
  problems,
}: Observed): Promise<PublishedStatus> {
  const told = problems()
  const [problem] = told
  const ways = Map.groupBy([...waysToPeers(nodes).values()].flat(), (way) => way)
  const usedShares = network.leases.use().map(({ used, capacity }) => used / capacity)
  return {
    version,
    pods: network.leases.list().length,
    mtuBytes: await network.mtuBytes(),
    policies: policies.count,
    ways: Object.fromEntries(Array.from(ways, ([way, all]) => [way, all.length])),
    usedPercent: Math.round(100 * Math.max(0, ...usedShares)),
    ...(options.datastore === 'kubernetes' && options.kubeconfig === undefined && { runsAs: 'pod' as const }),
    problems: told.length,
    ...(problem !== undefined && { problem }),
  }
}

/** Kinds of ways by the node's name; one that gets nothing has `none`. */
export function waysToPeers({ desired }: Pick<NodeNetwork, 'desired'>): Map<string, readonly string[]> {
  return new Map(
    Array.from(desired?.peers ?? [], ([name, { ways }]) => [
      name,
      ways.length === 0 ? ['none'] : [...new Set(ways.map(({ kind }) => kind))],
    ]),
  )
}

function sizes(sets: ReadonlyMap<string, { readonly elements: { readonly size: number } }>): number {
  return [...sets.values()].reduce((sum, { elements }) => sum + elements.size, 0)
}
