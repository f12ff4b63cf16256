import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { LockedError } from '../../agent/lock.ts'
import { takeOver } from '../../agent/take-over.ts'

t.test('the lock is taken at once where it is free, and nothing is told', async (t) => {
  let calls = 0
  await takeOver(
    () => calls++,
    () => t.fail('nobody is there'),
  )
  t.equal(calls, 1)
})

t.test('while another agent has it, this is told once, and it is tried until it is free', async (t) => {
  let [calls, told] = [0, 0]
  await takeOver(
    () => {
      if (++calls < 4) throw new LockedError('taken')
    },
    () => told++,
  )
  t.strictSame([calls, told], [4, 1])
})

t.test('any other error ends it', async (t) => {
  const lock = () => {
    throw new Error('no such folder')
  }
  await t.rejects(
    takeOver(lock, () => {}),
    { message: 'no such folder' },
  )
})

t.test('who waits ends when it is told to', async (t) => {
  const script = `import { takeOver } from ${JSON.stringify(new URL('../../agent/take-over.ts', import.meta.url))}
    import { LockedError } from ${JSON.stringify(new URL('../../agent/lock.ts', import.meta.url))}
    import { EndSignal } from ${JSON.stringify(new URL('../../agent/end-signal.ts', import.meta.url))}
    new EndSignal()
    await takeOver(() => { throw new LockedError('taken') }, () => console.log('waits'))`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  child.kill('SIGTERM')
  t.strictSame(await once(child, 'exit'), [0, null])
})
