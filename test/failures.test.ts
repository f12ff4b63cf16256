import { execFileSync, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

/** failures.ts on the TAP of test files that really ran. */
const told = (tap: string) => {
  writeFileSync(join(dir, 'tap'), tap)
  const args = [join(import.meta.dirname, 'failures.ts'), join(dir, 'tap')]
  return execFileSync(process.execPath, args, { encoding: 'utf8' }).split('\n').slice(1, -1)
}
const dir = t.testdir()

/** What such a test file prints, as the runner passes it on. */
function ran(body: string): string {
  const path = join(dir, 'failing.mjs')
  writeFileSync(path, `import t from 'tap'\n${body}`)
  const { stdout } = spawnSync(process.execPath, [path], { encoding: 'utf8', env: { ...process.env, TAP: '1' } })
  const nested = stdout
    .split('\n')
    .slice(1)
    .map((line) => `    ${line}`)
  return ['TAP version 14', '# Subtest: test/some.test.ts', ...nested, 'not ok 1 - test/some.test.ts # time=1ms'].join(
    '\n',
  )
}

t.test('each failure is told once, by file, name, line and difference', async (t) => {
  const tap = ran(`
    t.test('holds', async (t) => t.ok(true))
    t.test('outer', async (t) => {
      t.test('inner', async (t) => t.strictSame([1, 2, 3], [1, 2, 4], 'numbers'))
      t.test('throws', async () => { throw new Error('no such thing') })
    })
    t.test('later', { todo: 'not yet' }, async (t) => t.ok(false))`)
  t.match(told(tap), [
    '2 failed:',
    'test/some.test.ts > outer > inner > numbers',
    /^ {4}\S+\/failing\.mjs:5$/,
    /^ +-\s+4,$/,
    /^ +\+\s+3,$/,
    'test/some.test.ts > outer > throws > no such thing',
    /^ {4}\S+\/failing\.mjs:6$/,
  ])
})

t.test('a file that ends badly without a failing test is told with its exit code', async (t) => {
  const tap = 'not ok 7 - test/some.test.ts # time=3ms\n  ---\n  cwd: /\n  exitCode: 3\n  signal: null\n  ...\n'
  t.strictSame(told(tap), ['1 failed:', 'test/some.test.ts', '    exitCode: 3', '    signal: null'])
})

t.test('many failures, each with much to say, do not fill more than 36 lines, and none is passed over', async (t) => {
  const details = `  ---\n  diff: |\n${Array.from({ length: 50 }, (_, line) => `    -${line}`).join('\n')}\n  ...\n`
  const many = (count: number) =>
    Array.from({ length: count }, (_, number) => `not ok ${number} - file${number} # time=3ms\n${details}`).join('')
  for (const count of [1, 3, 30, 34]) {
    const lines = told(many(count))
    t.ok(lines.length <= 36, `${lines.length} lines`)
    t.equal(lines.filter((line) => line.startsWith('file')).length, count)
  }
  t.match(told(many(100)).slice(-1), ['and 66 more'])
})
