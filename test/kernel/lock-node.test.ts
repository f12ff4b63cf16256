import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { until } from './agent.ts'
import { capture, enterScratchNode } from './scratch.ts'

await enterScratchNode()

const LOCK = new URL('../../agent/lock.ts', import.meta.url).href
const SCRIPT = `import { lockNode } from ${JSON.stringify(LOCK)}
  try { lockNode(); console.log('went on') } catch (error) { console.log(error.code) }`
/** As an agent in a container sees the processes: not those outside. */
const CONTAINER = ['--fork', '--pid', '--kill-child', '--mount-proc']

async function tried(): Promise<string> {
  const { stdout, stderr } = await capture('unshare', [
    ...CONTAINER,
    process.execPath,
    '--input-type=module',
    '-e',
    SCRIPT,
  ])
  return stdout.trim() || stderr
}

/** @param as `unshare` or `setpriv` with arguments: who holds the lock */
async function hold(...as: readonly [string, ...string[]]): Promise<ChildProcess> {
  const [program, ...args] = [...as, 'flock', '/proc/self/ns/net', 'sh', '-c', 'echo held; sleep 60']
  const child = spawn(program as string, args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child.stdout as NonNullable<typeof child.stdout>, 'data')
  return child
}

t.test('an agent in a container of its own does not go on beside one that it cannot see', async (t) => {
  t.equal(await tried(), 'went on')
  const other = await hold('unshare', ...CONTAINER)
  t.equal(await tried(), 'LOCKED')
  other.kill('SIGKILL')
  await until('its lock is free', async () => (await tried()) === 'went on')
})

t.test('nor beside one of the node itself', async (t) => {
  const other = await hold('env')
  t.equal(await tried(), 'LOCKED')
  process.kill(-Number(other.pid), 'SIGKILL')
  await until('its lock is free', async () => (await tried()) === 'went on')
})
