import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { replaceFile } from '../../../agent/install/replace-file.ts'

t.test('a file is there as a whole, with its mode, and nothing beside it', (t) => {
  const dir = t.testdir({ '.plugin.new': 'half of one, from a crash' })
  const path = join(dir, 'plugin')
  t.ok(replaceFile(path, Buffer.from('one'), 0o755))
  t.equal(readFileSync(path, 'utf8'), 'one')
  t.equal(statSync(path).mode & 0o777, 0o755)
  t.strictSame(readdirSync(dir), ['plugin'])
  t.end()
})

t.test('what is there already is not written again', (t) => {
  const path = join(t.testdir(), 'plugin')
  replaceFile(path, Buffer.from('one'), 0o755)
  const { ino } = statSync(path)
  t.notOk(replaceFile(path, Buffer.from('one'), 0o755))
  t.equal(statSync(path).ino, ino)
  t.end()
})

t.test('what cannot be put in place leaves nothing beside it', (t) => {
  const dir = t.testdir({ plugin: { 'a folder': '' } })
  t.throws(() => replaceFile(join(dir, 'plugin'), Buffer.from('one'), 0o755), { code: /EISDIR|ENOTEMPTY/ })
  t.strictSame(readdirSync(dir), ['plugin'])
  t.end()
})

t.test('a file has the time by which it is known', (t) => {
  const path = join(t.testdir(), 'plugin')
  replaceFile(path, Buffer.from('one'), 0o755, 1_000)
  t.equal(statSync(path).mtimeMs, 1_000_000)
  t.end()
})

t.test('other bytes, another length or another mode are replaced, by another file', (t) => {
  const path = join(t.testdir(), 'plugin')
  for (const spoil of [() => writeFileSync(path, 'two'), () => writeFileSync(path, ''), () => chmodSync(path, 0o644)]) {
    replaceFile(path, Buffer.from('one'), 0o755)
    spoil()
    const { ino } = statSync(path)
    t.ok(replaceFile(path, Buffer.from('one'), 0o755))
    t.not(statSync(path).ino, ino, 'a program that runs keeps its file')
    t.equal(readFileSync(path, 'utf8'), 'one')
  }
  t.end()
})
