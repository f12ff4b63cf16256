import type { Direction, Rule, Tier } from '../cluster/policy.ts'
import type { Effect } from '../ruleset/table.ts'

/** What `bramblectl policy` may ask, and what it gets. */
export interface PolicyAnswers {
  /** POD, where one is asked for. */
  'policy show': PolicyReport
  /** FROM, TO, and PORT and PROTOCOL where one port is asked for. */
  'policy explain': Explanation
  /** The objects as JSON behind the call; DELETE=1, FLOWS=1. */
  'policy preview': Preview
  /** NAMESPACE, and PORT and PROTOCOL as above. */
  'policy matrix': Matrix
}

// ---- show

export interface PolicyReport {
  /** `default`, `always`, `never` */
  readonly mode: string
  /** Absent: none was asked for. */
  readonly pod?: PodReport
  /** All, or those that select the pod; in the order in which they decide, the first thousands of them. */
  readonly policies: readonly PolicyRow[]
  readonly morePolicies: number
  readonly problems: readonly string[]
}

export interface PolicyRow {
  readonly policy: string
  readonly tier: Tier
  readonly priority: number
  readonly isAudit: boolean
  readonly directions: readonly Direction[]
  /** Whom it is for, in words. */
  readonly subject: string
  /** That it selects. */
  readonly pods: number
  /** Of those the ones of this node. */
  readonly localPods: number
  /** What this node's rules have counted. */
  readonly counted: readonly Counted[]
}

export interface Counted {
  readonly direction: Direction
  readonly effect: Effect
  readonly packets: number
  readonly bytes: number
}

export interface PodReport {
  readonly pod: string
  readonly node: string
  readonly addresses: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  /** Wired by this node: the others count for themselves. */
  readonly isLocal: boolean
  readonly note?: string
  readonly ingress: SideReport
  readonly egress: SideReport
}

export interface SideReport {
  /** What becomes of what no rule decides. */
  readonly rest: 'open' | 'closed'
  /** Of those that are about this direction, in order; the first thousands of them. */
  readonly rules: readonly RuleReport[]
  readonly moreRules: number
  /** Those that select the pod for this direction, with rules or without. */
  readonly policies: readonly string[]
}

export interface RuleReport {
  readonly policy: string
  readonly path: string
  readonly name?: string
  readonly action: Rule['action']
  /** `from pods app=web in this namespace on TCP 80` */
  readonly words: string
}

// ---- explain

export interface Explanation {
  readonly from: EndReport
  readonly to: EndReport
  readonly isAllowed: boolean
  /** What differs is told apart, what is equal is told once. */
  readonly cases: readonly ExplainedCase[]
}

export interface EndReport {
  readonly name: string
  readonly addresses: readonly string[]
  readonly note?: string
}

export interface ExplainedCase {
  readonly families: readonly (4 | 6)[]
  /** `TCP 80`, `everything` */
  readonly ports: string
  readonly isAllowed: boolean
  readonly egress: SideVerdict
  readonly ingress: SideVerdict
  readonly missing: readonly MissingReport[]
}

export interface SideVerdict {
  readonly isAllowed: boolean
  /** Whose direction it is; absent: no pod's. */
  readonly pod?: string
  readonly kind: 'no-pod' | 'own-node' | 'itself' | 'unknown' | 'rule' | 'isolated' | 'default'
  /** The rule that decides. */
  readonly rule?: WrittenRule
  /** Those that isolate the pod. */
  readonly policies?: readonly string[]
  /** Rules that handed it on. */
  readonly passes: readonly WrittenRule[]
  /** What would have dropped it, were it not on audit. */
  readonly audited: readonly { readonly rule?: WrittenRule; readonly policies?: readonly string[] }[]
}

export interface WrittenRule {
  readonly policy: string
  readonly path: string
  readonly action: Rule['action']
  /** As it was written. */
  readonly source: unknown
}

/** What would let it through: a rule more at this place of a policy, a whole policy, or a correction. */
export type MissingReport = { readonly direction: Direction } & (
  | { readonly kind: 'rule'; readonly policy: string; readonly path: string; readonly source: unknown }
  | { readonly kind: 'policy'; readonly source: unknown }
  | { readonly kind: 'correction'; readonly policy: string; readonly path: string }
  | { readonly kind: 'nothing' }
)

// ---- preview

export interface Preview {
  readonly changes: readonly { readonly policy: string; readonly what: PolicyChangeKind }[]
  /** Objects that are no policies. */
  readonly others: readonly string[]
  readonly problems: readonly { readonly object: string; readonly reason: string }[]
  readonly differences: readonly Difference[]
  readonly moreDifferences: number
  /** Of the names in differences those that stand for several, which no policy tells apart: `shop/web-0 (+2)`. */
  readonly alike: readonly Alike[]
  /** Pairs of parties of which not all could be compared in time. */
  readonly pairs: { readonly compared: number; readonly all: number }
  /** Connections that are there now, and would be cut; absent: not asked for. */
  readonly flows?: { readonly cut: readonly FlowRow[]; readonly more: number; readonly looked: number }
}

export interface Alike {
  readonly name: string
  readonly count: number
  /** The first of them. */
  readonly members: readonly string[]
}

export type PolicyChangeKind = 'new' | 'changed' | 'unchanged' | 'deleted' | 'not there'

export interface Difference {
  readonly from: readonly string[]
  readonly to: readonly string[]
  /** Absent: both. */
  readonly family?: 4 | 6
  /** Ports in words; absent: none. */
  readonly opened?: string
  readonly closed?: string
}

export interface FlowRow {
  readonly from: string
  readonly to: string
  readonly source: string
  readonly destination: string
  /** `TCP 80` */
  readonly port: string
  /** What would drop it. */
  readonly why: string
}

// ---- matrix

export interface Matrix {
  readonly namespace: string
  /** Asked for; absent: all of them. */
  readonly port?: string
  /** Rows and columns. */
  readonly ends: readonly MatrixEnd[]
  readonly cells: readonly MatrixCell[]
  /** Ends for which there was no place or no time. */
  readonly leftOut: number
}

export interface MatrixEnd {
  readonly name: string
  readonly kind: 'own' | 'pods' | 'nodes' | 'outside'
  readonly count: number
  /** The first of them. */
  readonly members: readonly string[]
}

export interface MatrixCell {
  /** Indexes of ends. */
  readonly from: number
  readonly to: number
  readonly reach: 'all' | 'some' | 'none'
  /** What gets through: `TCP 80`. */
  readonly ports: string
  /** Line by line. */
  readonly why: readonly string[]
}
