/**
 * What failed in a run of all tests, for those who see only the end of its output: `node test/failures.ts FILE` reads
 * the run's TAP and prints, in at most 36 lines, the file and the name of each failure and what it has to say.
 */
import { readFileSync } from 'node:fs'

const LINES_MAX = 36
const DETAILS_MAX = 12
/** In the diagnostics: what the source looks like there, and how the file was started. */
const LEFT_OUT = /^(source|stack|compare|stdio|cwd|externalID|command|args|jobId|handles)$/

interface Failure {
  /** The test file, then the tests, from the outermost on. */
  readonly path: readonly string[]
  readonly details: string[]
}

const failures = failuresOf(readFileSync(process.argv[2] ?? '', 'utf8').split('\n'))
const shown = failures.slice(0, LINES_MAX - 2)
const detailsMax = Math.min(DETAILS_MAX, Math.floor((LINES_MAX - 2) / shown.length) - 1)
console.log(failures.length === 0 ? '\nno test failed, but the run did' : `\n${failures.length} failed:`)
for (const { path, details } of shown)
  for (const line of [path.join(' > '), ...details.slice(0, detailsMax).map((detail) => `    ${detail}`)])
    console.log(line.length > 300 ? `${line.slice(0, 300)}…` : line)
if (shown.length < failures.length) console.log(`and ${failures.length - shown.length} more`)

/** Each nested test is indented by four more; one that fails since a test in it does says nothing new. */
function failuresOf(lines: readonly string[]): Failure[] {
  const failures: Failure[] = []
  const names: string[] = []
  for (const [index, line] of lines.entries()) {
    const [, indent = '', subtest, failed] =
      /^((?: {4})*)(?:# Subtest: (.*)|not ok \d+ - (.*?)(?: # time=\S+)?)$/.exec(line) ?? []
    const depth = indent.length / 4
    if (subtest !== undefined) names.splice(depth, Number.POSITIVE_INFINITY, subtest)
    if (failed === undefined || failed.includes(' # TODO') || failed.includes(' # SKIP')) continue
    const path = [...names.slice(0, depth), failed]
    if (failures.some((one) => one.path.length > path.length && path.every((name, at) => name === one.path[at])))
      continue
    failures.push({ path, details: detailsOf(lines.slice(index + 1), indent.length + 2) })
  }
  return failures
}

/** The diagnostics that follow, indented, between `---` and `...`: the line of the test, of a diff only what differs. */
function detailsOf(lines: readonly string[], indentWidth: number): string[] {
  const indent = ' '.repeat(indentWidth)
  if (lines[0] !== `${indent}---`) return []
  const place: string[] = []
  const rest: string[] = []
  let key = ''
  for (const line of lines.slice(1, lines.indexOf(`${indent}...`)).map((line) => line.slice(indentWidth))) {
    key = /^(\w+):/.exec(line)?.[1] ?? key
    if (key === 'at') place.push(...(/ (?:file|line)(?:Name|Number): (.*)/.exec(line)?.slice(1) ?? []))
    else if (key === 'diff' ? /^ +[-+](?!--|\+\+)/.test(line) : !LEFT_OUT.test(key)) rest.push(line)
  }
  return [...(place.length > 0 ? [place.join(':')] : []), ...rest]
}
