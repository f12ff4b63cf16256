import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { FreedLog } from '../../ipam/freed-log.ts'
import type { FreedAddress } from '../../ipam/pool.ts'

const BOOT = '7d1c2f0e-5a1b-4c7e-9f00-3b6d6a6f2a11'
const HEADER = `bramble-freed/1 ${BOOT}\n`

/** A log whose file is in a folder of this test's own; trouble fails the test unless it is looked at. */
function setUp(t: Test, content?: string | Buffer) {
  const path = join(t.testdir(), 'state', 'freed')
  if (content !== undefined) {
    mkdirSync(dirname(path))
    writeFileSync(path, content)
  }
  return { path, open: (bootId = BOOT) => new FreedLog(path, bootId, (error) => t.fail(error.message)) }
}

const freed = (address: string, freedAtMs: number): FreedAddress => ({ address, freedAtMs })

t.test('what is appended is read again after a restart, oldest first', async (t) => {
  const { open } = setUp(t)
  const log = open()
  log.start(() => [])
  log.append(['10.42.0.7', 'fd42::7'], 1000)
  log.append(['10.42.0.3'], 2500)
  t.same(open().read(), [freed('10.42.0.7', 1000), freed('fd42::7', 1000), freed('10.42.0.3', 2500)])
})

t.test('the file is text that a person can read', async (t) => {
  const { open, path } = setUp(t)
  const log = open()
  log.start(() => [freed('10.42.0.1', 12.9)])
  log.append(['10.42.0.7'], 1000)
  t.equal(readFileSync(path, 'utf8'), `${HEADER}12 10.42.0.1\n1000 10.42.0.7\n`)
})

t.test('the file and its folder are for root alone', async (t) => {
  const { open, path } = setUp(t)
  open().start(() => [])
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.equal(statSync(dirname(path)).mode & 0o777, 0o700)
  t.same(readdirSync(dirname(path)), ['freed'])
})

t.test('of an address that was freed twice the last time counts, and its place in the order', async (t) => {
  const { open } = setUp(t, `${HEADER}1 10.42.0.1\n2 10.42.0.2\n3 10.42.0.1\n`)
  t.same(open().read(), [freed('10.42.0.2', 2), freed('10.42.0.1', 3)])
})

t.test('no file, an empty one and another boot say nothing', async (t) => {
  t.same(setUp(t).open().read(), [])
  for (const content of ['', 'bramble-freed/1', `bramble-freed/1 ${BOOT}`]) {
    const { open, path } = setUp(t)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, content)
    t.same(open().read(), [], JSON.stringify(content))
  }
  t.same(setUp(t, `${HEADER}1 10.42.0.1\n`).open('another-boot').read(), [])
})

t.test('a file of another format, as a newer version may leave it, is told, and begun anew', async (t) => {
  for (const content of [`bramble-freed/2 ${BOOT}\n1 10.42.0.1\n`, '\0\0\0\0']) {
    const { path } = setUp(t, content)
    const troubles: string[] = []
    const log = new FreedLog(path, BOOT, (error) => troubles.push(error.message))
    t.same(log.read(), [])
    t.same(troubles, [`${path} is of another format than bramble-freed/1; it is begun anew`])
    log.start(() => [])
    t.equal(readFileSync(path, 'utf8'), HEADER)
    t.equal(troubles.length, 1)
  }
})

t.test('a folder in the place of the file says nothing', async (t) => {
  const { open, path } = setUp(t)
  mkdirSync(path, { recursive: true })
  t.same(open().read(), [])
})

t.test('a file that was cut anywhere gives whole lines only', async (t) => {
  const whole = `${HEADER}1000 10.42.0.17\n2000 fd42::abcd\n3000 10.42.0.255\n`
  const all = [freed('10.42.0.17', 1000), freed('fd42::abcd', 2000), freed('10.42.0.255', 3000)]
  const { open, path } = setUp(t, whole)
  for (let length = whole.length; length >= 0; length--) {
    writeFileSync(path, whole.slice(0, length))
    const lines = whole.slice(0, length).split('\n').length - 2
    t.strictSame(open().read(), all.slice(0, Math.max(0, lines)), `cut after ${length}`)
  }
})

t.test('lines that are none of ours are passed over', async (t) => {
  const strange = [
    '',
    'x',
    '5',
    '5 ',
    ' 5 10.42.0.1',
    '-5 10.42.0.1',
    '5.5 10.42.0.1',
    '5 10.42.0.1 x',
    '1e3 10.42.0.1',
    '5 10.42.0',
  ]
  const addresses = ['12345::', '1:2:3:4:5:6:7:8:9', '::::', '.', '999.1.1.1', '10.42.0.01', 'fd42::0:1', 'FD42::1']
  const lines = [
    ...strange,
    ...addresses.map((address) => `5 ${address}`),
    `${'9'.repeat(16)} 10.42.0.1`,
    '7 10.42.0.9',
  ]
  t.same(
    setUp(t, `${HEADER}${lines.join('\n')}\n`)
      .open()
      .read(),
    [freed('10.42.0.9', 7)],
  )
})

t.test('noise in the file is never thrown back', async (t) => {
  const { path } = setUp(t, '')
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (noise, hasHeader) => {
      writeFileSync(path, Buffer.concat([Buffer.from(hasHeader ? HEADER : ''), noise]))
      return Array.isArray(new FreedLog(path, BOOT, () => {}).read())
    }),
    { numRuns: 200 },
  )
})

t.test('start() begins with what rests at that moment, and drops the rest', async (t) => {
  const { open } = setUp(t, `${HEADER}1 10.42.0.1\n2 10.42.0.2\n`)
  open().start(() => [freed('10.42.0.2', 2)])
  t.same(open().read(), [freed('10.42.0.2', 2)])
})

t.test('start() takes over from the file of another boot', async (t) => {
  const { open, path } = setUp(t, 'bramble-freed/1 another-boot\n1 10.42.0.1\n')
  const log = open()
  log.start(() => [])
  log.append(['10.42.0.2'], 2)
  t.equal(readFileSync(path, 'utf8'), `${HEADER}2 10.42.0.2\n`)
})

t.test('the file does not grow for ever: it is written anew from what rests', async (t) => {
  const { open, path } = setUp(t)
  const log = open()
  const resting = [freed('10.42.0.1', 1), freed('10.42.0.2', 2)]
  log.start(() => resting)
  const addresses = Array.from({ length: 1000 }, () => '10.42.0.9')
  for (let round = 0; round < 16; round++) log.append(addresses, 3)
  t.equal(open().read().length, 3, 'appended so far')
  log.append(addresses, 3)
  t.same(open().read(), resting, 'written anew')
  t.equal(readFileSync(path, 'utf8').split('\n').length, 4)
  log.append(['10.42.0.3'], 4)
  t.same(open().read(), [...resting, freed('10.42.0.3', 4)])
  t.same(readdirSync(dirname(path)), ['freed'])
})

t.test('of more resting addresses than the file may hold, the latest are kept', async (t) => {
  const { open, path } = setUp(t)
  const many = Array.from({ length: 20_000 }, (_, index) => freed(`10.42.${index >> 8}.${index & 255}`, index))
  open().start(() => many)
  const kept = open().read()
  t.same(kept.at(-1), many.at(-1))
  t.equal(kept.length, 8192)
  t.ok(statSync(path).size < 500_000)
})

t.test('a file that cannot be written is told each time, and stops nothing', async (t) => {
  const file = join(t.testdir({ file: 'not a folder' }), 'file')
  const troubles: string[] = []
  const log = new FreedLog(join(file, 'state', 'freed'), BOOT, (error) => troubles.push(error.message))
  t.same(log.read(), [])
  log.start(() => [])
  log.append(['10.42.0.1'], 1)
  log.append(['10.42.0.2'], 2)
  t.equal(troubles.length, 3)
  for (const message of troubles) t.match(message, 'ENOTDIR')
})

t.test(
  'a full disk is told, and stops nothing',
  { skip: !existsSync('/dev/full') && 'no /dev/full here' },
  async (t) => {
    const troubles: string[] = []
    const log = new FreedLog('/dev/full', BOOT, (error) => troubles.push(error.message))
    log.append(['10.42.0.1'], 1)
    t.equal(troubles.length, 1)
    t.match(troubles[0], 'ENOSPC')
  },
)

t.test('a file that was deleted meanwhile costs the rest of what was in it, and no more', async (t) => {
  const { open, path } = setUp(t)
  const log = open()
  log.start(() => [])
  rmSync(path)
  log.append(['10.42.0.1'], 1)
  const troubles: string[] = []
  const next = new FreedLog(path, BOOT, (error) => troubles.push(error.message))
  t.same(next.read(), [], 'there is no header: the file says nothing')
  t.equal(troubles.length, 1)
  open().start(() => [freed('10.42.0.1', 1)])
  t.same(open().read(), [freed('10.42.0.1', 1)])
})
