import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { Agent, until } from './agent.ts'
import { call } from './plugin.ts'
import { Pod } from './pod.ts'
import { capture, enterScratchNode, run } from './scratch.ts'
import { kernelState, leases, removed, settled } from './state.ts'

/*
 * What an agent keeps in files is little, and it may be lost, cut, foreign or impossible to write: the kernel knows.
 */
await enterScratchNode()
t.setTimeout(300_000)
const STATE_DIR = '/run/bramble'
const FREED = `${STATE_DIR}/freed`
const BARE = await kernelState()

let agent = await Agent.start()

t.test('the state directory is lost while no agent runs: all is read back from the kernel', async (t) => {
  const pod = await Pod.add()
  const before = await leases(agent)
  await agent.stop()
  rmSync(STATE_DIR, { recursive: true })
  agent = await Agent.start()
  t.strictSame(await leases(agent), before)
  t.strictSame(await agent.ask('ipam check'), [])
  t.match(await pod.check(), { exitCode: 0 })
  await removed(pod)
})

t.test('the state directory is lost under the agent: it says so and ends, and the next one recovers', async (t) => {
  const pod = await Pod.add()
  const before = await leases(agent)
  rmSync(STATE_DIR, { recursive: true })
  t.equal(await agent.ended(), 1, 'the service manager starts it anew')
  t.match(agent.stderr, /^bramble-agent: \/run\/bramble\/agent.sock was removed: .*\n$/)
  const starting = Agent.start()
  t.match(await pod.check(), { exitCode: 0 }, 'a call meanwhile waits for the next agent')
  agent = await starting
  t.strictSame(await leases(agent), before)
  await removed(pod)
})

t.test('hard case 5: a power cut inside a state write stops no agent and costs no address', async (t) => {
  const pod = await Pod.add()
  await removed(await Pod.add())
  const before = await leases(agent)
  await agent.stop('SIGKILL')
  const whole = readFileSync(FREED, 'utf8')
  const [header = ''] = whole.split('\n')
  const damaged = {
    empty: '',
    'cut in its first line': whole.slice(0, 20),
    'cut in its last line': whole.slice(0, -4),
    'of another boot': whole.replace(/ .*/, ' 00000000-0000-0000-0000-000000000000'),
    'of another format': whole.replace('/1 ', '/9 '),
    'full of zeros': '\0'.repeat(4096),
    'full of noise': `${header}\n${Array.from({ length: 2000 }, (_, i) => String.fromCharCode((i * 7919) % 256)).join('')}`,
    'with lines that are none': `${header}\n1 10.42.0.999\n1 1:2:3:4:5:6:7:8:9\n-1 10.42.0.3\n99999999999999999999 ::\n1 ${before[0]}\n \n`,
    'in the future': `${header}\n999999999999999 10.42.0.9\n`,
  }
  for (const [how, content] of Object.entries(damaged)) {
    writeFileSync(FREED, content)
    writeFileSync(`${FREED}.new`, content.slice(0, 30)) // the write that was cut
    agent = await Agent.start()
    t.strictSame(await leases(agent), before, `a file that is ${how}`)
    t.strictSame(await agent.ask('ipam check'), [])
    const next = await Pod.add()
    t.match(await next.del(), { exitCode: 0 })
    await agent.stop('SIGKILL')
    t.equal(readFileSync(FREED, 'utf8').split('\n')[0], header, 'and it is whole again')
  }
  rmSync(FREED)
  mkdirSync(FREED)
  agent = await Agent.start()
  t.match(
    agent.log.filter(({ level }) => level === 40),
    [{ msg: /when addresses were freed is not on record/ }],
    'a folder in its place is a line in the log',
  )
  await removed(pod)
  await agent.stop()
  rmSync(FREED, { recursive: true })
  agent = await Agent.start()
})

t.test('a full state directory stops no ADD and no DEL, and no start; the log and status tell', async (t) => {
  await agent.stop()
  await run('mount', '-t', 'tmpfs', '-o', 'size=64k,mode=700', 'tmpfs', STATE_DIR)
  agent = await Agent.start()
  const early = await Pod.add()
  await capture('dd', ['if=/dev/zero', `of=${STATE_DIR}/filler`, 'bs=4096'])
  const before = await leases(agent)
  const FULL = [{ level: 40, msg: /when addresses were freed is not on record/, err: { code: 'ENOSPC' } }]
  const warnings = () => agent.log.filter(({ level }) => level === 40)

  // What room there is in the file's last page is used up, too.
  const many = Array.from({ length: 160 }, (_, i) => ({ containerId: 'many', netns: early.netns, ifname: `net${i}` }))
  for (const { exitCode } of await Promise.all(many.map((one) => call('ADD', one)))) t.equal(exitCode, 0)
  for (const { exitCode } of await Promise.all(many.map((one) => call('DEL', one)))) t.equal(exitCode, 0)
  await until('the log tells', () => warnings().length > 0)
  t.match(warnings().slice(0, 1), FULL)
  t.strictSame(await leases(agent), before)
  t.match((await agent.ask('status')).problems, [`the file system of ${STATE_DIR} is full: what was freed`])
  await agent.stop()

  const note = { containerId: early.containerId, netns: early.netns }
  t.match(await call('DEL', note), { exitCode: 0, stderr: /tells the next one/ }, 'a note needs no room')
  agent = await Agent.start()
  t.match(warnings().slice(0, 1), FULL)
  t.strictSame(await leases(agent), [], 'the note was carried out')
  t.strictSame(readdirSync(`${STATE_DIR}/pending`), [])

  rmSync(`${STATE_DIR}/filler`)
  await removed(await Pod.add())
  await agent.stop()
  t.match(readFileSync(FREED, 'utf8'), /^bramble-freed\/1 /)
  await run('umount', STATE_DIR)
  agent = await Agent.start()
  t.strictSame((await agent.ask('status')).problems, [])
})

t.test('hard case 11: the wall clock jumps by years, and nothing that counts time notices', async (t) => {
  const year = 365 * 86_400_000
  const jump = `const Real = Date; let calls = 0
    const now = () => Real.now() + (++calls % 2 === 0 ? 30 : -30) * ${year}
    globalThis.Date = class extends Real { constructor(...args) { super(...(args.length > 0 ? args : [now()])) } static now() { return now() } }`
  await agent.stop()
  rmSync(FREED)
  const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(jump)}` }
  agent = await Agent.start({ podCidrs: ['10.42.0.0/29'], env })
  const times = agent.log.map(({ time }) => Number(time))
  t.ok(Math.max(...times) - Math.min(...times) > 50 * year, 'the clock of the log jumps')

  const pods = [await Pod.add(), await Pod.add()] as const
  await removed(pods[0])
  t.match(await agent.ask('ipam'), [{ used: 1, cooling: 1, free: 5 }])
  t.ok((await agent.ask('status')).uptimeSeconds < 60)
  const linkIsGone = async () => !(await run('ip', '-o', 'link')).includes(pods[0].hostLink)
  await until('links are deleted in their time', linkIsGone)
  await agent.stop()
  agent = await Agent.start({ podCidrs: ['10.42.0.0/29'], env })
  t.match(await agent.ask('ipam'), [{ used: 1, cooling: 1, free: 5 }], 'the rest goes on')
  await removed(pods[1])
})

/** What tells people or the API server when something was, or judges the clock; nothing is waited for or given out by it. */
const TELL_TIME = [
  'agent/api/status-all.ts',
  'agent/api/status.ts', // how far this clock is ahead of that one
  'agent/cluster/kubernetes/client.ts', // what the API server says of its own clock, for people
  'agent/cluster/kubernetes/network-condition.ts',
  'agent/cluster/kubernetes/node-events.ts',
  'agent/cluster/kubernetes/readiness.ts', // reads what others wrote, for people
  'agent/doctor/checks/machine.ts',
  'agent/doctor/facts/log.ts',
  'agent/doctor/facts/machine.ts',
  'agent/install/plugin.ts', // a file's time as a mark, which is written and compared, and no time
  'agent/install/replace-file.ts', // writes that mark
  'agent/observe/process.ts',
  'agent/observe/publisher.ts',
]

t.test('hard case 11: no source of the product asks for the time of day, but what tells it', async (t) => {
  const root = new URL('../../', import.meta.url)
  const sources = ['agent', 'bin', 'ipam', 'plugin'].flatMap((folder) =>
    readdirSync(new URL(folder, root), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(ts|c)$/.test(name))
      .map((name) => `${folder}/${name}`),
  )
  t.ok(sources.length > 30)
  /* ctime: compared with itself */
  const asking = /\bDate\b|hrtime\(\)|CLOCK_REALTIME|\btime\(|gettimeofday|mtime|birthtime/
  t.strictSame(sources.filter((source) => asking.test(readFileSync(new URL(source, root), 'utf8'))).sort(), TELL_TIME)
})

t.test('when all is over, nothing is left', async (t) => {
  t.equal(await agent.stop(), 0)
  t.strictSame(await settled(BARE), BARE)
})
