import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { type TarEntry, tar } from '../../deploy/image/tar.ts'
import { readTree } from '../../deploy/image/tree.ts'
import { capture } from '../kernel/scratch.ts'

const LONG = `${'folder/'.repeat(20)}${'f'.repeat(90)}`
const folders = (path: string): TarEntry[] =>
  path
    .split('/')
    .slice(0, -1)
    .map((_, index, all) => ({ path: all.slice(0, index + 1).join('/'), type: 'directory' }))

t.test('what is packed is what GNU tar unpacks: modes, links, empty files, long paths', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'bramble-tar-'))
  t.teardown(() => rmSync(root, { recursive: true }))
  const entries: TarEntry[] = [
    { path: 'empty', type: 'file', content: Buffer.alloc(0), executable: false },
    ...folders(LONG),
    { path: LONG, type: 'file', content: Buffer.from('x'.repeat(513)), executable: true },
    { path: 'link', type: 'symlink', target: 'folder/../empty' },
  ]
  mkdirSync(join(root, 'out'))
  const archive = join(root, 'archive')
  writeFileSync(archive, tar(entries))
  t.match(await capture('tar', ['-xpf', archive, '-C', join(root, 'out')]), { exitCode: 0, stderr: '' })
  t.strictSame(readTree(join(root, 'out')), entries)
})

t.test('what the format has no room for is refused, by name', (t) => {
  const file = (path: string): TarEntry => ({ path, type: 'file', content: Buffer.alloc(0) })
  t.throws(() => tar([file('f'.repeat(101))]), /a path is too long for a tar: f+/)
  t.throws(() => tar([file(`${'d'.repeat(156)}/f`)]), /too long/)
  t.throws(() => tar([{ path: 'far', type: 'symlink', target: 't'.repeat(101) }]), /the link far leads too far/)
  t.end()
})
