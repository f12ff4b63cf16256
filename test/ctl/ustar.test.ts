import { execFileSync } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ustarEnd, ustarEntry } from '../../ctl/ustar.ts'

const file = (path: string, text = '') =>
  ustarEntry({ path, type: 'file', mode: 0o600, changedAtSeconds: 1_700_000_000, content: Buffer.from(text) })

t.test('tar unpacks what was packed, whatever its length is', (t) => {
  const dir = t.testdir()
  const contents = ['', 'a', 'b'.repeat(511), 'c'.repeat(512), 'd'.repeat(513), 'é\n'.repeat(4000)]
  const files = contents.map((text, index) => ({ path: `top/file-${index}`, text }))
  writeFileSync(join(dir, 'a.tar'), Buffer.concat([...files.flatMap(({ path, text }) => file(path, text)), ustarEnd()]))
  execFileSync('tar', ['xf', 'a.tar'], { cwd: dir })
  for (const { path, text } of files) t.equal(readFileSync(join(dir, path), 'utf8'), text, path)
  t.equal(statSync(join(dir, 'top/file-1')).mtimeMs, 1_700_000_000_000)
  t.equal(statSync(join(dir, 'top/file-1')).mode & 0o777, 0o600)
  t.end()
})

t.test('a path of more than 100 bytes is unpacked where it belongs', (t) => {
  const dir = t.testdir()
  const path = `bramble-sysdump-${'n'.repeat(63)}-20261121T113549Z/agent/logs/${'l'.repeat(96)}.log`
  writeFileSync(join(dir, 'a.tar'), Buffer.concat([...file(path, 'x'), ustarEnd()]))
  execFileSync('tar', ['xf', 'a.tar'], { cwd: dir })
  t.equal(readFileSync(join(dir, path), 'utf8'), 'x')
  t.end()
})

t.test('a path that does not fit is refused, not cut', (t) => {
  t.throws(() => file('x'.repeat(101)), /a path is too long for a tar/)
  t.end()
})

t.end()
