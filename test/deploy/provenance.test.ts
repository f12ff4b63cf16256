import { chmodSync, chownSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { provenance } from '../../deploy/image/provenance.ts'
import { run } from '../kernel/scratch.ts'

delete process.env.SOURCE_DATE_EPOCH // of whoever runs the tests
const COMMITTED_AT_S = 1_767_323_045
const NOBODY = 65534

t.test('an image is of the commit that is checked out, and as old', async (t) => {
  const { folder, commit } = await repository(t)
  t.strictSame(provenance(folder), { revision: commit, createdAt: new Date(COMMITTED_AT_S * 1000) })
  writeFileSync(join(folder, 'untracked'), '')
  t.equal(provenance(folder).revision, commit, 'what git does not know does not count')
  writeFileSync(join(folder, 'file'), 'changed')
  t.equal(provenance(folder).revision, `${commit}-dirty`)
})

t.test('also where root builds what somebody else has checked out, which git refuses by itself', async (t) => {
  const { folder, commit } = await repository(t)
  for (const path of [folder, join(folder, '.git')]) chownSync(path, NOBODY, NOBODY)
  await t.rejects(run('git', '-C', folder, 'log'), { message: /dubious ownership/ })
  t.strictSame(provenance(folder), { revision: commit, createdAt: new Date(COMMITTED_AT_S * 1000) })
})

t.test('without a repository nobody knows', async (t) => {
  const folder = t.testdir()
  process.env.GIT_CEILING_DIRECTORIES = join(folder, '..') // the project's own is above it
  t.teardown(() => delete process.env.GIT_CEILING_DIRECTORIES)
  t.strictSame(provenance(folder), { revision: 'unknown', createdAt: new Date(0) })
})

async function repository(t: Test): Promise<{ folder: string; commit: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'brmtest-provenance-'))
  t.teardown(() => run('rm', '-r', folder))
  chmodSync(folder, 0o755)
  writeFileSync(join(folder, 'file'), 'first')
  const git = (...args: string[]) =>
    run('git', '-C', folder, '-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args)
  await git('init', '--quiet')
  await git('add', 'file')
  process.env.GIT_COMMITTER_DATE = `${COMMITTED_AT_S} +0000`
  await git('commit', '--quiet', '--message=first')
  delete process.env.GIT_COMMITTER_DATE
  return { folder, commit: (await git('rev-parse', 'HEAD')).trim() }
}
