import { execFile } from 'node:child_process'
import { existsSync, globSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative, resolve } from 'node:path'
import type { Output } from '../kernel/scratch.ts'
import { PROJECT } from './initrd.ts'
import { Machine, MachineEndedError } from './machine.ts'

/*
 * Runs test files in virtual machines with Debian's kernel, and prints TAP:
 *
 *     node test/vm/run.ts [FILE...]
 *
 * Those of test/vm start machines themselves, so they run outside.
 */
/** Of the host's time: most take one or two minutes, where nobody else wants it. */
const FILE_TIMEOUT_MS = 1_800_000
const HOST_TESTS = 'test/vm/'
/** They wait half of the time, so they are begun first, and others run beside them. */
const LONG_MODES = ['wireguard', 'auto'].map((name) => `test/kernel/modes/${name}.test.ts`)

const files = filesToRun(process.argv.slice(2))
const fileCount = files.length
let finished = 0
process.stdout.write(`TAP version 14\n1..${fileCount}\n`)
await Promise.all(Array.from({ length: Math.min(fileCount, availableParallelism()) }, runFiles))

/** The longest first. @throws Error when there is nothing to run */
function filesToRun(named: readonly string[]): string[] {
  const missing = named.find((file) => !existsSync(file))
  if (missing) throw new Error(`there is no test file ${missing}`)
  if (named.length > 0) return named.map((file) => relative(PROJECT, resolve(file)))
  const modes = globSync('test/kernel/modes/*.test.ts', { cwd: PROJECT })
  const gone = LONG_MODES.find((file) => !modes.includes(file))
  if (gone) throw new Error(`there is no test file ${gone}`)
  return [...new Set([LONG_MODES[0] ?? '', `${HOST_TESTS}three-machines.ts`, ...LONG_MODES, ...modes])]
}

/** One file after the other, in one machine for as long as that lives. */
async function runFiles(): Promise<void> {
  let machine: Machine | undefined
  for (let file = files.shift(); file; file = files.shift()) {
    const startedMs = performance.now()
    let output: Output
    try {
      if (!file.startsWith(HOST_TESTS)) machine ??= await Machine.boot()
      output =
        machine && !file.startsWith(HOST_TESTS)
          ? await machine.run(['node', file], FILE_TIMEOUT_MS)
          : await runOutside(file)
    } catch (error) {
      if (!(error instanceof MachineEndedError)) throw error
      machine = undefined
      output = { exitCode: 1, stdout: error.output, stderr: error.message }
    }
    report(file, output, performance.now() - startedMs)
  }
  machine?.end()
}

function runOutside(file: string): Promise<Output> {
  return new Promise((resolve) => {
    const options = {
      cwd: PROJECT,
      timeout: FILE_TIMEOUT_MS,
      maxBuffer: 100e6,
    }
    execFile(process.execPath, [join(PROJECT, file)], options, (error, stdout, stderr) =>
      resolve({ exitCode: error ? 1 : 0, stdout, stderr }),
    )
  })
}

/** Passed is what ended well, tested something, and left nothing out. */
function report(file: string, { exitCode, stdout, stderr }: Output, tookMs: number): void {
  const passed = exitCode === 0 && /^1\.\.[1-9]/m.test(stdout) && !/^ *ok .*# (SKIP|TODO)/im.test(stdout)
  if (!passed) {
    process.exitCode = 1
    process.stderr.write(`${file}: exit ${exitCode}\n${stderr}`)
  }
  const subtest = stdout.replace(/^(?=.)/gm, '    ')
  const result = `${passed ? 'ok' : 'not ok'} ${++finished} - ${file} # time=${Math.round(tookMs)}ms`
  process.stdout.write(`# Subtest: ${file}\n${subtest}\n${result}\n`)
}
