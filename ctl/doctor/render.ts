import type { Diagnosis } from '../../agent/doctor/check.ts'

/** What the doctor found, as people read it. Pure. */

type Found = Diagnosis['findings'][number]

const RANK = { error: 0, warning: 1, note: 2 } as const satisfies Record<Found['severity'], number>
const LINE_CHARACTERS = 100
/** `warning  ` */
const INDENT = 9

export function renderDiagnosis({ findings, good, unknown }: Diagnosis): string {
  const sorted = findings.toSorted((a, b) => RANK[a.severity] - RANK[b.severity])
  return [
    ...sorted.map(renderFinding),
    ...(unknown.length > 0 ? [renderUnknown(unknown)] : []),
    ...(good.length > 0 ? [wrapped('good', good)] : []),
    summary(findings),
  ].join('\n\n')
}

/** Notes are good to know, and nothing is wrong. */
export function isHealthy({ findings }: Diagnosis): boolean {
  return findings.every(({ severity }) => severity === 'note')
}

/** What `--fix` can do, each once. */
export function safeRemedies({ findings }: Diagnosis) {
  const all = findings.flatMap(({ remedies }) =>
    remedies.flatMap(({ command, act }) => (act ? [{ command, act }] : [])),
  )
  return [...new Map(all.map((one) => [one.command, one])).values()]
}

function renderFinding({ severity, check, what, why, advice, remedies }: Found): string {
  const commands = remedies.map(({ command, act }) => `${command}${act ? '   # --fix does it' : ''}`)
  return [
    row(severity, what),
    row('', `(${check}) ${why}`),
    ...commands.map((command, index) => row(index === 0 ? 'fix' : '', command)),
    ...(advice === undefined ? [] : [row('', advice)]),
  ].join('\n')
}

function row(head: string, text: string): string {
  return `${head.padEnd(INDENT)}${text}`
}

/** Of several for one reason the reason stands once. */
function renderUnknown(unknown: Diagnosis['unknown']): string {
  const byReason = Map.groupBy(unknown, ({ reason }) => reason)
  return [...byReason]
    .flatMap(([reason, checks]) => [
      wrapped(
        'unknown',
        checks.map(({ check }) => check),
      ),
      row('', `since: ${reason}`),
    ])
    .join('\n')
}

function wrapped(head: string, words: readonly string[]): string {
  const lines: string[] = ['']
  for (const word of words) {
    const line = lines.at(-1) ?? ''
    if (line !== '' && INDENT + line.length + 1 + word.length > LINE_CHARACTERS) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines.map((line, index) => row(index === 0 ? head : '', line)).join('\n')
}

function summary(findings: Diagnosis['findings']): string {
  const counts = (['error', 'warning', 'note'] as const).flatMap((severity) => {
    const count = findings.filter((one) => one.severity === severity).length
    return count === 0 ? [] : [`${count} ${severity}${count === 1 ? '' : 's'}`]
  })
  return counts.length === 0 ? 'nothing is wrong with this node' : counts.join(', ')
}
