import type { Direction } from '../cluster/policy.ts'

/** The one nftables table of policies, as values. Names are derived from contents, so that equal things are one thing. */

export const POLICY_TABLE = 'inet bramble-policy'

/** A set of which elements come and go, or one that stays as it is made (`isInterval`). */
export interface PolicySet {
  readonly name: string
  /** As nft writes it: `ipv4_addr . inet_proto . inet_service`. */
  readonly type: string
  /** Elements are ranges, and the name is that of these very elements. */
  readonly isInterval: boolean
  /** Packets put elements into it, and time takes them out. */
  readonly isDynamic?: boolean
  /** For people: what is selected. */
  readonly comment: string
  /** As nft writes them. */
  readonly elements: ReadonlySet<string>
}

/** Which chain decides about a pod of this node, by its address. */
export interface PolicyMap {
  readonly name: string
  /** Of the key. */
  readonly type: string
  /** Address to chain. */
  readonly elements: ReadonlyMap<string, string>
}

/** Never changed: other rules make a chain of another name. Base chains have the names of their tasks. */
export interface PolicyChain {
  readonly name: string
  /** Each with a comment, at the end of which there is a mark of the rule's own. */
  readonly rules: readonly string[]
  /** How a base chain is hooked; absent: it is jumped to. */
  readonly hook?: string
  /** Of one where packets end that nothing lets through. */
  readonly ending?: Ending
}

/** What becomes of such a packet, and whose doing it is. */
export interface Ending {
  readonly effect: Effect
  readonly direction: Direction
  /** By policyId: of an isolated pod all that isolate it. None where it was no policy. */
  readonly policies: readonly string[]
}

/**
 * What a counter counts: what policies let through, handed on to the next tier, dropped, or would have dropped if they
 * were not on audit; what was dropped since nothing was known of the pod, or nothing let it through where all is closed (`--policy-mode always`);
 * packets that pods may never send; connections that were cut.
 */
const EFFECTS = [
  ...(['accepted', 'passed', 'dropped', 'audited'] as const),
  ...(['unknown', 'closed', 'tunnelled', 'spoofed', 'cut'] as const),
] as const
export type Effect = (typeof EFFECTS)[number]

export interface PolicyCounter {
  readonly name: string
  readonly effect: Effect
  /** Absent where it counts both. */
  readonly direction?: Direction
  /** By policyId. Absent: it counts each packet once, whichever policies were about it. */
  readonly policy?: string
}

export interface CounterValue {
  readonly packets: number
  readonly bytes: number
}

/** All by name. */
export interface PolicyTable {
  readonly sets: ReadonlyMap<string, PolicySet>
  readonly maps: ReadonlyMap<string, PolicyMap>
  readonly chains: ReadonlyMap<string, PolicyChain>
  readonly counters: ReadonlyMap<string, PolicyCounter>
}

/** From one table to the next: what is made and deleted as a whole, and what comes into what stays or leaves it. */
export interface PolicyChange {
  readonly addedSets: readonly PolicySet[]
  readonly removedSets: readonly string[]
  readonly addedChains: readonly PolicyChain[]
  /** That are there and have other rules: somebody has changed them. */
  readonly rewrittenChains?: readonly PolicyChain[]
  readonly removedChains: readonly string[]
  readonly addedCounters: readonly PolicyCounter[]
  readonly removedCounters: readonly string[]
  /** By set or map; of a map with the chain: `10.42.0.5 : jump in-…`. */
  readonly addedElements: ReadonlyMap<string, readonly string[]>
  /** Without the chain. */
  readonly removedElements: ReadonlyMap<string, readonly string[]>
}

export function isNoChange(change: PolicyChange): boolean {
  return Object.values(change).every((part) => ('size' in part ? part.size : part.length) === 0)
}

/**
 * What is logged of a drop begins with this and the name of the chain, by which one finds whose it was. NF_LOG_PREFIXLEN in include/net/netfilter/nf_log.h is 128.
 */
export const LOG_PREFIX = 'bramble '
