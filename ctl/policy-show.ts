import type { Counted, PodReport, PolicyReport, PolicyRow, SideReport } from '../agent/api/policy-answers.ts'
import { renderTable } from './table.ts'

/** Which policies there are, or select one pod, as people read it. Pure. */

type Direction = Counted['direction']

const MODES: Readonly<Record<string, string>> = {
  always: '--policy-mode always: what nothing lets through is closed',
  never: '--policy-mode never: nothing is dropped, all is counted',
}
const ACTIONS = { Accept: 'lets through', Deny: 'denies', Pass: 'hands on to the next tier' } as const

export function renderPolicies(report: PolicyReport): string {
  const { mode, pod, policies, morePolicies, problems } = report
  return [
    ...(MODES[mode] === undefined ? [] : [MODES[mode]]),
    ...(pod ? podBlocks(pod, new Set(policies.flatMap((one) => (one.isAudit ? [one.policy] : [])))) : []),
    ...(policies.length > 0 ? [policyTable(policies)] : pod ? [] : ['no policy is known: every pod is open']),
    ...(morePolicies > 0 ? [`and ${morePolicies} more policies`] : []),
    ...(problems.length > 0 ? [['problems:', ...problems.map((problem) => `  ${problem}`)].join('\n')] : []),
  ].join('\n\n')
}

function policyTable(policies: readonly PolicyRow[]): string {
  const rows = policies.map((row) => [
    row.policy,
    `${row.tier === 'NetworkPolicy' ? '-' : `${row.tier} ${row.priority}`}${row.isAudit ? ' (audit)' : ''}`,
    row.subject,
    `${row.localPods} of ${row.pods}`,
    countsOf(row, 'ingress'),
    countsOf(row, 'egress'),
  ])
  return renderTable(['POLICY', 'TIER', 'FOR', 'PODS HERE', 'IN', 'OUT'], rows)
}

/** Packets by what became of them: `accepted 12, dropped 4`; `-` where the policy says nothing of this direction. */
function countsOf({ directions, counted }: PolicyRow, direction: Direction): string {
  if (!directions.includes(direction)) return '-'
  const some = counted.filter((one) => one.direction === direction)
  const texts = Array.from(
    Map.groupBy(some, ({ effect }) => effect),
    ([effect, alike]) => `${effect} ${alike.reduce((sum, one) => sum + one.packets, 0)}`,
  )
  return texts.join(', ') || 'nothing here'
}

function podBlocks(pod: PodReport, onAudit: ReadonlySet<string>): string[] {
  const labels = Object.entries(pod.labels).map(([key, value]) => `${key}=${value}`)
  const lines: [string, string][] = [
    ['pod', `${pod.pod}${pod.note === undefined ? '' : `, which ${pod.note}`}`],
    ['node', `${pod.node || 'unknown'}${pod.isLocal ? ' (this one)' : ', where its packets are counted'}`],
    ['addresses', pod.addresses.join(' ')],
    ['labels', labels.join(',') || 'none'],
  ]
  return [
    lines.map(([name, value]) => `${name.padEnd(9)}  ${value}`).join('\n'),
    side('in', pod.ingress, onAudit),
    side('out', pod.egress, onAudit),
  ]
}

function side(
  word: 'in' | 'out',
  { rest, policies, rules, moreRules }: SideReport,
  onAudit: ReadonlySet<string>,
): string {
  if (policies.length === 0)
    return `${word}: ${rest === 'open' ? 'open, no policy is about it' : 'closed, as no policy lets anything through'}`
  const head = rules.length === 0 ? `${word}: ${rest}` : `${word}: in this order; what no rule decides is ${rest}`
  const byPolicy = Map.groupBy(rules, ({ policy }) => policy)
  // Of what has no place, nobody can say that it has no rules.
  const shown = moreRules > 0 ? policies.filter((policy) => byPolicy.has(policy)) : policies
  const rows = shown.flatMap((policy) => {
    const own = byPolicy.get(policy) ?? []
    const name = `${policy}${onAudit.has(policy) ? ' (audit)' : ''}`
    if (own.length === 0) return [[name, '', 'no rule: lets nothing through']]
    return own.map((rule) => [
      name,
      rule.name === undefined ? rule.path : `${rule.path} (${rule.name})`,
      `${ACTIONS[rule.action]}: ${rule.words}`,
    ])
  })
  const [, ...lines] = renderTable(['', '', ''], rows).split('\n')
  const more = moreRules > 0 ? [`and ${moreRules} more rules`] : []
  return [head, ...[...lines, ...more].map((line) => `  ${line}`)].join('\n')
}
