import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { runProgram } from '../../../ctl/sysdump/program.ts'

const LONG_MS = 60_000

t.test('a program that ends by itself: what it said, and how it ended', async (t) => {
  const output = await runProgram(['sh', '-c', 'echo out; echo err >&2; exit 3'], LONG_MS, 1000)
  t.match(output, { stderr: 'err\n', exitCode: 3, isLate: false, isCut: false })
  t.equal(output.stdout.toString(), 'out\n')
})

t.test('one that hangs is ended with all that it started, and what it said until then is kept', async (t) => {
  const dir = t.testdir()
  const script = `sleep 1000 & echo $! > ${join(dir, 'pid')}; echo before; wait`
  const output = await runProgram(['sh', '-c', script], 2_000, 1000)
  t.match(output, { isLate: true, exitCode: undefined })
  t.equal(output.stdout.toString(), 'before\n')
  const pid = readFileSync(join(dir, 'pid'), 'utf8').trim()
  for (const deadlineMs = performance.now() + LONG_MS; isRunning(pid); )
    if (performance.now() > deadlineMs) throw new Error(`its child ${pid} is still there`)
    else await new Promise((resolve) => setTimeout(resolve, 10))
})

t.test('one that says too much is ended there', async (t) => {
  const output = await runProgram(['cat', '/dev/zero'], LONG_MS, 100_000)
  t.match(output, { isCut: true, isLate: false })
  t.equal(output.stdout.length, 100_000)
})

t.test('one that is not installed is told by errno', async (t) => {
  await t.rejects(runProgram(['no-such-program'], LONG_MS, 1000), { code: 'ENOENT' })
})

t.end()

/** A zombie that nobody has collected yet has ended, too. */
function isRunning(pid: string): boolean {
  return existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
}
