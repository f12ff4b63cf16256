import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { lockStateDir } from '../../agent/lock.ts'

t.test('the state directory is made, for root alone', async (t) => {
  const stateDir = join(t.testdir(), 'run', 'bramble')
  lockStateDir(stateDir)
  t.equal(statSync(stateDir).mode & 0o777, 0o700)
  t.equal(statSync(join(stateDir, 'lock')).mode & 0o777, 0o600)
  t.same(readdirSync(stateDir), ['lock'])
})

t.test('a second agent on the same directory is told what to do', async (t) => {
  const stateDir = t.testdir()
  lockStateDir(stateDir)
  t.throws(() => lockStateDir(stateDir), {
    code: 'LOCKED',
    message: `another bramble-agent works on ${stateDir}; stop it first`,
  })
})

t.test('agents on different directories do not see each other', async (t) => {
  lockStateDir(t.testdir({ a: {}, b: {} }))
  lockStateDir(join(t.testdirName, 'a'))
  lockStateDir(join(t.testdirName, 'b'))
})

t.test('the lock of an agent that was killed is free', async (t) => {
  const stateDir = t.testdir()
  const lock = fileURLToPath(new URL('../../agent/lock.ts', import.meta.url))
  const script = `import { lockStateDir } from ${JSON.stringify(lock)}
    lockStateDir(${JSON.stringify(stateDir)})
    console.log('locked')
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  t.throws(() => lockStateDir(stateDir), { code: 'LOCKED' })
  child.kill('SIGKILL')
  await once(child, 'exit')
  lockStateDir(stateDir)
})

t.test('a lock file that is a link to somewhere else is not followed', async (t) => {
  const dir = t.testdir({ state: {} })
  writeFileSync(join(dir, 'victim'), '')
  symlinkSync(join(dir, 'victim'), join(dir, 'state', 'lock'))
  t.throws(() => lockStateDir(join(dir, 'state')), { code: 'STATE_DIR', message: /ELOOP/ })
})

t.test('a directory into which others may put links is not used', async (t) => {
  const dir = t.testdir({ state: {} })
  const stateDir = join(dir, 'state')
  const refuses = (why: string) =>
    t.throws(() => lockStateDir(stateDir), {
      code: 'STATE_DIR',
      message: `--state-dir ${stateDir} cannot be used: ${why} ${stateDir}"`,
    })
  for (const mode of [0o1777, 0o770, 0o702]) {
    chmodSync(stateDir, mode)
    refuses('others may write there; run "chmod go-w')
  }
  chmodSync(stateDir, 0o700)
  chownSync(stateDir, 65_534, 0)
  refuses('it belongs to user 65534; run "chown root')
  t.same(readdirSync(stateDir), [])
  chownSync(stateDir, 0, 0)
  lockStateDir(stateDir)
})

t.test('a directory that cannot be made or written is named, with why and what to take', async (t) => {
  const dir = t.testdir({ file: '', lock: {} })
  for (const [stateDir, why] of [
    [join(dir, 'file', 'state'), 'ENOTDIR'],
    [join(dir, 'file'), 'EEXIST'],
    [dir, 'EISDIR'],
  ] as const)
    t.throws(() => lockStateDir(stateDir), {
      code: 'STATE_DIR',
      message: new RegExp(
        `^--state-dir ${stateDir} cannot be used: ${why}: .*; take a folder on tmpfs that can be written`,
      ),
    })
})
