import { spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { AGENT, Agent, until } from './agent.ts'
import { enterScratchNode } from './scratch.ts'

await enterScratchNode()

t.test('an agent that waits for its pod CIDR ends when it is told to, also as the first of a container', async (t) => {
  const args = ['--datastore=redis', '--redis-url=redis://127.0.0.1:1', '--cluster-cidr=10.42.0.0/16', '--node-name=n1']
  const container = ['--fork', '--pid', '--kill-child', '--mount-proc']
  const child = spawn('unshare', [...container, process.execPath, AGENT, ...args], { stdio: 'ignore' })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  t.teardown(() => child.kill('SIGKILL'))
  await until('it waits', () => existsSync('/run/bramble/starting.sock'))
  const [agent] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ')
  process.kill(Number(agent), 'SIGTERM')
  t.equal(await ended, 0)
  t.notOk(existsSync('/run/bramble/starting.sock'))
})

t.test('so does one that waits for the agent before it, at once', async (t) => {
  const other = await Agent.start()
  const args = ['--take-over=true', '--state-dir=/run/bramble', '--node-name=n1', '--pod-cidr=10.42.0.0/24']
  const container = ['--fork', '--pid', '--kill-child', '--mount-proc']
  const child = spawn('unshare', [...container, process.execPath, AGENT, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const ended = new Promise((resolve) => child.once('exit', resolve))
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  await until('it waits', () => output.includes('waiting until it has gone'))
  const [agent] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ')
  const toldAtMs = performance.now()
  process.kill(Number(agent), 'SIGTERM')
  t.equal(await ended, 0)
  t.ok(performance.now() - toldAtMs < 5_000, 'well before the grace of a pod is over')
  await other.stop()
})

t.test('one that could not start leaves the agent before it in its place', async (t) => {
  const other = await Agent.start()
  writeFileSync('/run/file', '')
  const next = Agent.spawn({ args: ['--take-over=true', '--cni-bin-dir=/run/file/bin'] })
  t.equal(await next.ended(), 1)
  t.match(next.stderr, 'bramble-agent: /run/file/bin cannot be written: ENOTDIR')
  t.match(await other.ask('status'), { pods: 0 }, 'it serves')
  await other.stop()
})
