import { execFileSync } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { tarEnd, tarFile } from '../../../ctl/sysdump/tar.ts'

t.test('tar unpacks what was packed, whatever its length is', (t) => {
  const dir = t.testdir()
  const contents = ['', 'a', 'b'.repeat(511), 'c'.repeat(512), 'd'.repeat(513), 'é\n'.repeat(4000)]
  const files = contents.map((text, index) => ({ path: `top/file-${index}`, text }))
  const pieces = files.map(({ path, text }) =>
    tarFile({ path, content: Buffer.from(text), changedAtSeconds: 1_700_000_000 }),
  )
  writeFileSync(join(dir, 'a.tar'), Buffer.concat([...pieces, tarEnd()]))
  execFileSync('tar', ['xf', 'a.tar'], { cwd: dir })
  for (const { path, text } of files) t.equal(readFileSync(join(dir, path), 'utf8'), text, path)
  t.equal(statSync(join(dir, 'top/file-1')).mtimeMs, 1_700_000_000_000)
  t.equal(statSync(join(dir, 'top/file-1')).mode & 0o777, 0o600)
  t.end()
})

t.test('a path that does not fit is refused, not cut', (t) => {
  t.throws(() => tarFile({ path: 'x'.repeat(101), content: Buffer.alloc(0), changedAtSeconds: 0 }), /too long/)
  t.end()
})

t.end()
