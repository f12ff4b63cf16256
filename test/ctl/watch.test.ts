import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { until } from '../agent/cluster/kubernetes/until.ts'
import { agent } from './tool.ts'

const BRAMBLECTL = fileURLToPath(new URL('../../bin/bramblectl.ts', import.meta.url))
const STATUS = {
  version: '0.1.0',
  nodeName: 'pi-4',
  pid: 4711,
  uptimeSeconds: 7300,
  datastore: 'local',
  podCidrs: ['10.42.0.0/24'],
  mtuBytes: 1450,
  pods: 12,
  policies: 7,
  peers: 4,
  callsUnderWay: 0,
  linksToDelete: 0,
  memoryRssBytes: 64_000_000,
  problems: ['no address is free'],
}

/** The tool, left to run. */
function begin(t: Test, program: string, args: readonly string[]) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  const seen = { text: '', child }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (seen.text += text))
  return seen
}

async function exitCodeOf(child: ChildProcess): Promise<unknown> {
  return child.exitCode ?? (await once(child, 'exit'))[0]
}

t.test('without a terminal each look is a block with the time above it, until it is interrupted', async (t) => {
  const socket = await agent(t, { status: STATUS })
  const seen = begin(t, process.execPath, [BRAMBLECTL, 'status', '--watch', '--socket', socket])
  const block = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\nnode +pi-4\n/gm
  await until('two blocks', () => (seen.text.match(block) ?? []).length >= 2, 60_000)
  seen.child.kill('SIGINT')
  t.equal(await exitCodeOf(seen.child), 1, 'the node has a problem')
  t.notMatch(seen.text, '\x1b')
})

t.test('on a terminal each look is drawn over the one before', async (t) => {
  const socket = await agent(t, { status: STATUS })
  const command = [process.execPath, BRAMBLECTL, 'status', '--watch', '--socket', socket].join(' ')
  const seen = begin(t, 'script', ['-qefc', command, '/dev/null'])
  await until('two looks', () => seen.text.split('\x1b[H').length >= 3, 60_000)
  await until('the second is whole', () => seen.text.endsWith('\x1b[J'), 60_000)
  t.ok(seen.text.startsWith('\x1b[H'))
  t.match(seen.text, '\x1b[K')
})

t.test('an agent that is away is shown in its place, and looked for again', async (t) => {
  const seen = begin(t, process.execPath, [
    BRAMBLECTL,
    'status',
    '--watch',
    '-o',
    'json',
    '--socket',
    '/nonexistent/agent.sock',
  ])
  await until('two looks', () => seen.text.split('\n').length >= 3, 60_000)
  t.match(JSON.parse(seen.text.split('\n')[0] ?? ''), { error: /no agent listens/ })
  seen.child.kill('SIGTERM')
  t.equal(await exitCodeOf(seen.child), 1)
})

t.test('it ends when nobody reads it any more', async (t) => {
  const socket = await agent(t, { status: STATUS })
  const seen = begin(t, process.execPath, [BRAMBLECTL, 'status', '--watch', '--socket', socket])
  await until('a block', () => seen.text.includes('pi-4'), 60_000)
  seen.child.stdout?.destroy()
  t.equal(await exitCodeOf(seen.child), 1)
})
