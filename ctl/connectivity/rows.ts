import { familyOf } from '../../ipam/address.ts'
import type { Check, Planned } from './plan.ts'
import type { Outcome } from './probe.ts'

/** One thing that was tried, and what came of it. */
export interface Row {
  readonly check: Check
  readonly from: string
  /** The node that it was tried on. */
  readonly node: string
  readonly to: string
  readonly toNode?: string
  /** What was sent to; absent where it was no packet of ours. */
  readonly address?: string
  readonly family?: 4 | 6
  readonly result: 'good' | 'failed' | 'skipped'
  readonly words: string
}

/** What a test tells. */
export interface Report {
  readonly rows: readonly Row[]
  /** Where bramblectl is asked, by node; empty: on the nodes themselves. */
  readonly agentPods: ReadonlyMap<string, string>
}

/** In the order of the plan. What nobody told the outcome of has failed. Pure. */
export function rowsOf(
  planned: readonly Planned[],
  outcomes: readonly Outcome[],
  silence = 'the pod told nothing of it',
): Row[] {
  const found = new Map(outcomes.map((outcome) => [outcome.id, outcome]))
  return planned.map(({ place, probe, check, to, toNode }) => {
    const { isGood, words } = found.get(probe.id) ?? { isGood: false, words: silence }
    return {
      check,
      from: place.isNode ? `node ${place.node}` : `pod on ${place.node}`,
      node: place.node,
      to,
      ...(toNode !== undefined && { toNode }),
      ...(probe.kind !== 'name' && { address: probe.target, family: familyOf(probe.target) }),
      result: isGood ? 'good' : 'failed',
      words,
    }
  })
}

/** Where the node itself does not get out, its pods cannot: that is nobody's fault here. Pure. */
export function withoutTheOffline(rows: readonly Row[]): Row[] {
  const offline = rows.filter(({ check, result }) => check === 'node to outside' && result === 'failed')
  const isOffline = ({ node, address }: Row) => offline.some((one) => one.node === node && one.address === address)
  return rows.map((row) => {
    if (row.result !== 'failed' || !row.check.endsWith(' to outside') || !isOffline(row)) return row
    return { ...row, result: 'skipped', words: `the node itself does not reach ${row.address}` }
  })
}
