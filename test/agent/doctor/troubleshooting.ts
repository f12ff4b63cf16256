/**
 * The table of docs/troubleshooting.md, made of the checks and of what they say in the first case of each:
 * `node test/agent/doctor/troubleshooting.ts` writes it anew.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { diagnose } from '../../../agent/doctor/check.ts'
import { CHECKS } from '../../../agent/doctor/checks.ts'
import { CASES } from './cases.ts'
import { gathered, HEALTHY } from './healthy.ts'

const PAGE = fileURLToPath(new URL('../../../docs/troubleshooting.md', import.meta.url))
const BEGIN = '<!-- made of the checks: node test/agent/doctor/troubleshooting.ts -->\n'
const END = '<!-- end -->'

export function page(): string {
  return readFileSync(PAGE, 'utf8')
}

/** The page with the table as it should be. @throws Error where it has no place for one */
export function renewed(text: string): string {
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)]
  if (begin < 0 || end < begin) throw new Error(`${PAGE} has no lines "${BEGIN.trim()}" and "${END}"`)
  return `${text.slice(0, begin + BEGIN.length)}${table()}${text.slice(end)}`
}

function table(): string {
  const rows = CHECKS.map(({ name, symptom }) => {
    const example = CASES.find(({ check, says }) => check === name && says.length > 0)
    const { findings } = diagnose(gathered({ ...HEALTHY, ...example?.facts }), CHECKS)
    const finding = findings.find(({ check }) => check === name)
    const commands = (finding?.remedies ?? []).map(({ command, act }) => `\`${command}\`${act ? ' *' : ''}`)
    const mended = [...commands, ...(finding?.advice === undefined ? [] : [finding.advice])].join('<br>')
    return [symptom, `\`${name}\``, `${finding?.what}: ${finding?.why}`, mended || 'by itself']
  })
  return ['| you see | check | for example | mended by |', '|---|---|---|---|', ...rows.map(line), ''].join('\n')
}

function line(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

if (import.meta.main) writeFileSync(PAGE, renewed(page()))
