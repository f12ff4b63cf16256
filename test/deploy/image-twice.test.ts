import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { architectureOf } from '../../deploy/image/architecture.ts'
import { makeImage } from '../../deploy/image/build.ts'
import { provenance } from '../../deploy/image/provenance.ts'

t.test('who builds the same commit gets the same image, whatever the umask and the time are', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bramble-twice-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const commit = { revision: 'a commit', createdAt: new Date('2026-01-02T03:04:05Z') }
  const first = await makeImage(architectureOf('amd64'), join(folder, 'first'), commit)
  const umask = process.umask(0o077)
  t.teardown(() => process.umask(umask))
  const second = await makeImage(architectureOf('amd64'), join(folder, 'second'), commit)
  t.equal(second.digest, first.digest)
  t.ok(readFileSync(second.path).equals(readFileSync(first.path)), 'to the byte')
})

t.test('an image is as old as its commit, or as SOURCE_DATE_EPOCH says', (t) => {
  const before = process.env.SOURCE_DATE_EPOCH
  t.teardown(() => {
    if (before === undefined) delete process.env.SOURCE_DATE_EPOCH
    else process.env.SOURCE_DATE_EPOCH = before
  })
  process.env.SOURCE_DATE_EPOCH = '1000000000'
  t.same(provenance().createdAt, new Date('2001-09-09T01:46:40Z'))
  delete process.env.SOURCE_DATE_EPOCH
  t.equal(provenance().createdAt.getTime() % 1000, 0)
  t.end()
})

t.test('there is no image for an architecture that nobody builds for', (t) => {
  t.throws(() => architectureOf('riscv64'), /riscv64; there is amd64, arm64/)
  t.end()
})
