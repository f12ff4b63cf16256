import { percentile, type Summary, summarise } from './stats.ts'

/** One line of the table and one entry of results.json. */
export interface Row {
  readonly measured: string
  readonly unit: string
  readonly ours: Summary
  readonly peer?: Summary & { readonly name: string }
  /** What the goal speaks about: the ratio of the medians (or the median of ratios) where there is a peer, else our median. */
  readonly score: number
  /** `score` may be at most this; rows without one are there to explain the others. */
  readonly goal?: number
  /** More is better: `score` is to be at least the goal. */
  readonly isLeast?: true
  readonly met?: boolean
}

export interface Peer {
  readonly name: string
  readonly samples: readonly number[]
}

/** Ours against a peer: the ratio of the medians counts. */
export function ratioRow(measured: string, unit: string, samples: readonly number[], peer: Peer, goal?: number): Row {
  const ours = summarise(samples)
  const theirs = { name: peer.name, ...summarise(peer.samples) }
  return judge({ measured, unit, ours, peer: theirs, score: ours.p50 / theirs.p50 }, goal)
}

/** Two that were measured in turns, each of ours beside one of the peer's: the median of their ratios counts. */
export function pairedRow(
  measured: string,
  unit: string,
  samples: readonly number[],
  peer: Peer,
  goal: { readonly atMost: number } | { readonly atLeast: number } | undefined = undefined,
): Row {
  const ratios = samples.map((value, turn) => value / (peer.samples[turn] ?? Number.NaN))
  const theirs = { name: peer.name, ...summarise(peer.samples) }
  const row = { measured, unit, ours: summarise(samples), peer: theirs, score: percentile(ratios, 0.5) }
  if (!goal) return row
  return 'atMost' in goal ? judge(row, goal.atMost) : judge({ ...row, isLeast: true }, goal.atLeast)
}

/** Ours against a number. */
export function valueRow(measured: string, unit: string, samples: readonly number[], goal?: number): Row {
  const ours = summarise(samples)
  return judge({ measured, unit, ours, score: ours.p50 }, goal)
}

function judge(row: Row, goal: number | undefined): Row {
  if (goal === undefined) return row
  return { ...row, goal, met: row.isLeast ? row.score >= goal : row.score <= goal }
}

const HEADINGS = ['measured', 'ours p50 (p95)', 'peer p50 (p95)', 'peer', 'ratio', 'goal', '']

/** The rows as a Markdown table whose columns line up in a terminal too. */
export function renderTable(rows: readonly Row[]): string {
  const lines = [HEADINGS, ...rows.map(cells)]
  const widths = HEADINGS.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  const text = lines.map((line) => `| ${line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`)
  text.splice(1, 0, `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`)
  return `${text.join('\n')}\n`
}

function cells({ measured, unit, ours, peer, score, goal, isLeast, met }: Row): string[] {
  return [
    measured,
    spread(ours, unit),
    peer ? spread(peer, unit) : '',
    peer?.name ?? '',
    peer ? digits(score) : '',
    goal === undefined ? '' : `${isLeast ? '≥' : '≤'} ${peer ? goal.toFixed(2) : `${goal} ${unit}`}`,
    met === undefined ? '' : met ? 'met' : 'MISSED',
  ]
}

function spread({ p50, p95, count }: Summary, unit: string): string {
  return count === 1 ? `${digits(p50)} ${unit}` : `${digits(p50)} (${digits(p95)}) ${unit}`
}

/** Three digits that mean something, and no false precision. */
function digits(value: number): string {
  if (Number.isInteger(value)) return String(value)
  return value.toFixed(Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0)
}
