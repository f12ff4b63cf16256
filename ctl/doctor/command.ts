import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'
import type { Diagnosis } from '../../agent/doctor/check.ts'
import { carryOut, examine } from '../../agent/doctor/doctor.ts'
import { ask } from '../ask.ts'
import { parseOwnOptions, SOCKET_OPTION } from '../own-options.ts'
import { printable, printableAnswer, printableJson } from '../printable.ts'
import { UsageError } from '../usage-error.ts'
import { isHealthy, renderDiagnosis, safeRemedies } from './render.ts'

const USAGE = `bramblectl doctor [--fix [--yes]] [-o json]

Looks at this node, the agent and the ways to other nodes, and tells what is wrong, why it matters and which command
mends it. It tries things rather than reading settings: kernel features by objects in a namespace that nobody else
sees, paths by packets. Nothing is changed. Works while the agent is away, and says why that is.

Exit codes: 0 nothing is wrong (notes do not count); 1 something is; 2 wrong command line.

Examples:
  sudo bramblectl doctor
  kubectl -n kube-system exec POD -- bramblectl doctor   # sees less of the node's files`

const OPTIONS = {
  fix: { type: 'boolean', default: false, describe: 'then do what is marked so, after asking' },
  yes: { type: 'boolean', default: false, describe: 'with --fix: without asking' },
  output: { alias: 'o', nargs: 1, choices: ['table', 'text', 'json'], default: 'table', describe: 'how to print' },
  socket: SOCKET_OPTION,
  root: { type: 'string', nargs: 1, hidden: true, describe: 'where files of the node are looked for first' },
} as const

type Fixed = { readonly command: string; readonly error?: string }

/**
 * @returns the exit code
 * @throws UsageError
 */
export async function main(argv: readonly string[], version: string): Promise<number> {
  const given = await parse(argv, version)
  if (!given) return 0
  const { socket, root, fix, yes } = given
  const isJson = given.output === 'json'
  const look = async () => {
    if (process.stderr.isTTY) process.stderr.write('looking at this node …\n')
    return examine({ ask: (call) => ask(socket, call), socket, version, root })
  }
  let diagnosis = await look()
  let fixed: readonly Fixed[] = []
  if (fix) {
    if (!isJson) print(renderDiagnosis(printableAnswer(diagnosis)))
    fixed = await mend(diagnosis, yes)
    if (fixed.length > 0) diagnosis = await look()
    for (const { command, error } of isJson ? [] : fixed)
      print(printable(error === undefined ? `done: ${command}` : `failed: ${command}: ${error}`))
  }
  if (isJson) print(printableJson(asJson(diagnosis, fix ? fixed : undefined)))
  else if (!fix || fixed.length > 0) print(renderDiagnosis(printableAnswer(diagnosis)))
  return isHealthy(diagnosis) ? 0 : 1
}

/** @returns what was done; nothing where nothing can be, or somebody said no */
async function mend(diagnosis: Diagnosis, isAgreed: boolean): Promise<Fixed[]> {
  const remedies = safeRemedies(diagnosis)
  if (remedies.length === 0) process.stderr.write('nothing that is wrong can be mended without you: see above\n')
  else if (!isAgreed) {
    process.stderr.write(`\n${remedies.map(({ command }) => `  ${printable(command)}\n`).join('')}`)
    if (!(await agrees('do that, until the next reboot? [y/N] '))) {
      process.stderr.write('nothing was changed\n')
      return []
    }
  }
  const fixed: Fixed[] = []
  for (const { command, act } of remedies)
    try {
      await carryOut(act)
      fixed.push({ command })
    } catch (error) {
      fixed.push({ command, error: (error as Error).message })
    }
  return fixed
}

/** Ctrl-C and Ctrl-D are no agreement, and leave the cursor where it was. */
async function agrees(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const hungUp = once(terminal, 'close').then(() => undefined)
    const answer = await Promise.race([terminal.question(question).catch(() => undefined), hungUp])
    if (answer === undefined) process.stderr.write('\n')
    return /^\s*y(es)?\s*$/i.test(answer ?? '')
  } finally {
    terminal.close()
  }
}

/** For programs: what is done by --fix is told by its command. */
function asJson({ findings, good, unknown }: Diagnosis, fixed: readonly Fixed[] | undefined) {
  return {
    findings: findings.map(({ remedies, ...finding }) => ({
      ...finding,
      commands: remedies.map(({ command }) => command),
      fixable: remedies.flatMap(({ command, act }) => (act ? [command] : [])),
    })),
    good,
    unknown,
    ...(fixed && { fixed }),
  }
}

/** @returns undefined when help was asked for, which is printed. @throws UsageError */
async function parse(argv: readonly string[], version: string) {
  const given = await parseOwnOptions('doctor', USAGE, OPTIONS, argv, version)
  if (!given) return undefined
  if (given.yes && !given.fix) throw new UsageError('--yes goes with --fix: bramblectl doctor --fix --yes')
  if (given.fix && !given.yes && !process.stdin.isTTY)
    throw new UsageError('--fix asks first, and there is no terminal to ask on: say --fix --yes')
  return given
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}
