import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, openSync, readFileSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { LogLines } from '../../agent/log-lines.ts'
import { run } from '../kernel/scratch.ts'

const LOG = fileURLToPath(new URL('../../agent/log.ts', import.meta.url))

async function makePipe(t: Test): Promise<string> {
  const path = join(t.testdir(), 'pipe')
  await run('mkfifo', path)
  return path
}

function openReader(path: string): number {
  return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK) // the other end may come later
}

/** All that is there by now. */
function read(fd: number): string {
  const bytes = Buffer.alloc(1024 * 1024)
  try {
    return bytes.toString('utf8', 0, readSync(fd, bytes))
  } catch {
    return '' // EAGAIN
  }
}

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `{"line":${index},"ö":"${'x'.repeat(index % 200)}"}\n`)
}

t.test('lines go out as they came in, and in their order', async (t) => {
  const path = join(t.testdir(), 'log')
  const fd = openSync(path, 'w')
  const lines = new LogLines(fd, () => t.fail('none is lost'))
  for (const line of numbered(500)) lines.write(line)
  lines.flush()
  closeSync(fd)
  t.equal(readFileSync(path, 'utf8'), numbered(500).join(''))
})

t.test('who reads slowly gets whole lines, in their order, and is told how many are missing', async (t) => {
  const path = await makePipe(t)
  const reader = openReader(path)
  const writer = openSync(path, 'w') // a write would wait for the reader, who is this very thread
  const told: number[] = []
  const lines = new LogLines(writer, (lost) => told.push(lost))
  const given = numbered(5000)
  for (const line of given) lines.write(line)
  t.same(told, [])
  let got = ''
  for (let part = read(reader); part !== ''; part = read(reader)) {
    got += part
    lines.flush()
  }
  const arrived = got.split(/(?<=\n)/)
  t.ok(arrived.length < given.length)
  t.same(arrived, given.slice(0, arrived.length))
  t.same(told, [given.length - arrived.length])
  closeSync(reader)
  closeSync(writer)
})

t.test('lines that nobody reads are lost; the next reader is told how many', async (t) => {
  const path = await makePipe(t)
  const first = openReader(path)
  const writer = openSync(path, 'w')
  const told: number[] = []
  const lines = new LogLines(writer, (lost) => told.push(lost))
  closeSync(first)
  for (const line of numbered(3)) lines.write(line)
  lines.flush()
  lines.write('{"line":3}\n')
  lines.flush()
  t.same(told, [])
  const second = openReader(path)
  lines.write('{"line":4}\n')
  lines.flush()
  t.same(told, [4])
  t.equal(read(second), '{"line":4}\n')
  closeSync(second)
  closeSync(writer)
})

t.test('after a line that went out in part, the next one begins as a line', async (t) => {
  const path = await makePipe(t)
  const first = openReader(path)
  const writer = openSync(path, 'w')
  const lines = new LogLines(writer, () => {})
  writeSync(writer, Buffer.alloc(60 * 1024)) // room for one piece of the line, and not for the next
  lines.write(`${'a'.repeat(5000)}\n`)
  lines.flush()
  closeSync(first)
  lines.flush()
  const second = openReader(path)
  t.equal(read(second).at(-1), 'a')
  lines.write('{"line":1}\n')
  lines.flush()
  t.equal(read(second), '\n{"line":1}\n')
  closeSync(second)
  closeSync(writer)
})

for (const [where, script] of [
  ['the disk is full', 'exec "$0" "$@" > /dev/full'],
  ['nobody reads it any more', 'exec "$0" "$@" > >(:)'],
  ['somebody holds it open and does not read', 'exec "$0" "$@"'],
] as const)
  t.test(`a process whose log is stuck goes on, and ends when it wants to: ${where}`, async (t) => {
    const program = `import { openLog } from ${JSON.stringify(LOG)}
      const log = openLog('info')
      let rounds = 0
      setInterval(() => {
        for (let line = 0; line < 100; line++) log.info('x'.repeat(10_000))
        if (++rounds === 10) process.exit(7)
      }, 10)`
    const args = ['--input-type=module', '-e', program]
    const child = spawn('bash', ['-c', script, process.execPath, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
    t.teardown(() => child.kill('SIGKILL'))
    t.same(await once(child, 'exit'), [7, null])
    child.stdout.destroy()
  })
