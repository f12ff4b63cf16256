/**
 * A policy as a value, whichever API it was written in. Its parts keep the order and the text in which they were written:
 * what is decided by one can be shown by its own lines.
 */

export const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const
export type Protocol = (typeof PROTOCOLS)[number]

export const DIRECTIONS = ['ingress', 'egress'] as const
export type Direction = (typeof DIRECTIONS)[number]

/** In the order in which they decide. */
export const TIERS = ['Admin', 'NetworkPolicy', 'Baseline'] as const
export type Tier = (typeof TIERS)[number]

export type Labels = Readonly<Record<string, string>>

/** metav1.LabelSelector; `matchLabels` are requirements with one value. */
export interface Selector {
  /** Selectors that select the same way have the same one: it can be a key. `''` selects everything. */
  readonly text: string
  /** All must hold. */
  readonly requirements: readonly Requirement[]
}

export interface Requirement {
  readonly key: string
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist'
  /** For In and NotIn, at least one. */
  readonly values: readonly string[]
}

/** Pods of the cluster; those with the network of their node (`hostNetwork`) are never among them. */
export interface PodSelection {
  /** A namespace by name, or all whose labels fit. */
  readonly namespaces: string | Selector
  readonly pods: Selector
}

/** All addresses from the first to the last, both included, of one family; as numbers, IPv4 below 2^32. */
export interface AddressRange {
  readonly family: 4 | 6
  readonly first: bigint
  readonly last: bigint
}

export type Peer =
  | { readonly kind: 'pods'; readonly selection: PodSelection }
  | { readonly kind: 'nodes'; readonly nodes: Selector }
  /** CIDRs, exceptions taken off: in order, none touching another. */
  | { readonly kind: 'ranges'; readonly ranges: readonly AddressRange[] }

/** Which destination ports; of a protocol without a number all (1 to 65535). */
export type PortMatch =
  | { readonly protocol: Protocol; readonly first: number; readonly last: number }
  /** The port of that name of the destination pod, which may be another one for each. Without a protocol: of any. */
  | { readonly name: string; readonly protocol?: Protocol }

export interface Rule {
  /** Where it stands in the object: `spec.ingress[0]`. */
  readonly path: string
  /** As its author calls it (ClusterNetworkPolicy). */
  readonly name?: string
  readonly action: 'Accept' | 'Deny' | 'Pass'
  /** Any of them; absent: everybody. None at all: nobody. */
  readonly peers?: readonly Peer[]
  /** Any of them; absent: every protocol, those without ports among them. None at all: nothing. */
  readonly ports?: readonly PortMatch[]
  /** The rule as it was written. */
  readonly source: unknown
}

export interface Policy {
  readonly kind: 'NetworkPolicy' | 'ClusterNetworkPolicy'
  /** Absent for a ClusterNetworkPolicy. */
  readonly namespace?: string
  readonly name: string
  readonly tier: Tier
  /** Within its tier the lowest decides first, and of equal ones the first by name; 0 for a NetworkPolicy, where order is of no matter. */
  readonly priority: number
  /** Whom it is for. */
  readonly subject: PodSelection
  /** Absent: it says nothing about what comes in. A NetworkPolicy that has it, empty or not, isolates its pods. */
  readonly ingress?: readonly Rule[]
  readonly egress?: readonly Rule[]
  /** What it would drop is counted, and passes; what it lets through, it lets through. */
  readonly isAudit: boolean
}

/** Something in a policy that cannot be done; all the rest of it is. */
export interface FieldProblem {
  /** `spec.egress[2].to[0].domainNames` */
  readonly field: string
  /** With what becomes of it, and what to write instead. */
  readonly reason: string
}

/** As people name it: `NetworkPolicy default/web`. The key of a policy in every map. */
export function policyId({ kind, namespace, name }: Pick<Policy, 'kind' | 'namespace' | 'name'>): string {
  return namespace === undefined ? `${kind} ${name}` : `${kind} ${namespace}/${name}`
}
