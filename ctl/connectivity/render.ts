import { renderTable } from '../table.ts'
import { nextStep } from './next-step.ts'
import { CHECKS } from './plan.ts'
import type { Report, Row } from './rows.ts'

/** How many of one check are told one by one. */
const TOLD_MAX = 12

/** A table with a line for each check and family; then what failed, and what to look at. Pure. */
export function renderReport({ rows, agentPods }: Report): string {
  const failed = rows.filter(({ result }) => result === 'failed')
  const skipped = rows.filter(({ result }) => result === 'skipped')
  return [
    table(rows),
    ...(failed.length > 0
      ? [['failed, and what to look at:', ...CHECKS.flatMap((check) => told(failed, check, agentPods))].join('\n')]
      : []),
    ...(skipped.length > 0 ? [['skipped:', ...skippedLines(skipped)].join('\n')] : []),
    failed.length > 0
      ? `${failed.length} of ${rows.length} failed`
      : `all is well: ${rows.length - skipped.length} tried`,
  ].join('\n\n')
}

function table(rows: readonly Row[]): string {
  const lines = CHECKS.flatMap((check) =>
    ([4, 6, undefined] as const).flatMap((family) => {
      const same = rows.filter((row) => row.check === check && row.family === family)
      return same.length === 0 ? [] : [[check, family ? `IPv${family}` : '-', count(same)]]
    }),
  )
  return renderTable(['CHECK', 'FAMILY', 'RESULT'], lines)
}

function count(rows: readonly Row[]): string {
  const tried = rows.filter(({ result }) => result !== 'skipped')
  const good = tried.filter(({ result }) => result === 'good')
  if (tried.length === 0) return 'skipped'
  if (good.length < tried.length) return `${good.length} of ${tried.length}: FAILED`
  const [only] = good
  return good.length === 1 && only ? `good  ${only.words}` : `good  ${good.length} of ${tried.length}`
}

function told(failed: readonly Row[], check: Row['check'], agentPods: Report['agentPods']): string[] {
  const same = failed.filter((row) => row.check === check)
  const more = same.length - TOLD_MAX
  const lines = same.slice(0, TOLD_MAX).map((row) => {
    const address = row.address && row.address !== row.to ? ` (${row.address})` : ''
    return `  ${check}, ${row.from} to ${row.to}${address}: ${row.words}`
  })
  // Once for what is the same: ten pods on a node whose tunnel is down have one trouble.
  const steps = [...new Set(same.flatMap((row) => nextStep(row, agentPods)))]
    .slice(0, TOLD_MAX)
    .map((step) => `      look: ${step}`)
  return [...lines, ...(more > 0 ? [`  … and ${more} more`] : []), ...steps]
}

function skippedLines(skipped: readonly Row[]): string[] {
  return [
    ...new Set(skipped.map(({ check, family, words }) => `  ${check}${family ? ` (IPv${family})` : ''}: ${words}`)),
  ]
}
