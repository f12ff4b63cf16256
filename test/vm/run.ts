import { globSync } from 'node:fs'
import { relative } from 'node:path'
import { text } from 'node:stream/consumers'
import { Machine } from './machine.ts'

/*
 * Runs test files in virtual machines with Debian's kernel, each in one of its own, and prints TAP:
 *
 *     node test/vm/run.ts [FILE...]
 */
const PROJECT = `${import.meta.dirname}/../..`
const TIMEOUT_MS = 600_000

const named = process.argv.slice(2)
const files =
  named.length > 0 ? named : [...globSync('test/kernel/modes/*.test.ts', { cwd: PROJECT }), 'test/kernel/nodes.test.ts']

let failed = 0
process.stdout.write(`TAP version 14\n1..${files.length}\n`)
for (const [index, file] of files.entries()) {
  const startedMs = performance.now()
  const machine = await Machine.boot({ command: ['node', relative(PROJECT, file)], timeoutMs: TIMEOUT_MS })
  machine.stderr.pipe(process.stderr, { end: false })
  const output = text(machine.stdio)
  const exitCode = await machine.exitCode
  const tap = (await output).replace(/^(?=.)/gm, '    ')
  const passed = exitCode === 0 && /^ {4}1\.\.[1-9]/m.test(tap) && !/^ *ok .*# SKIP/im.test(tap)
  if (!passed) failed++
  const time = `# time=${Math.round(performance.now() - startedMs)}ms`
  process.stdout.write(`# Subtest: ${file}\n${tap}${passed ? 'ok' : 'not ok'} ${index + 1} - ${file} ${time}\n`)
}
process.exitCode = failed > 0 ? 1 : 0
