import { once } from 'node:events'
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import t from 'tap'
import { AGENT, Agent, type AgentSettings, sleep } from './agent.ts'
import { Flow } from './flow.ts'
import { pings } from './node.ts'
import { buildPlugin, call } from './plugin.ts'
import { Pod } from './pod.ts'
import { capture, enterScratchNode, makeNetns, type Output } from './scratch.ts'
import { addForeignObjects, heldAddresses, kernelState, leases, removed, settled } from './state.ts'

/*
 * The agent comes and goes; pods, their packets and their addresses do not notice.
 */
await enterScratchNode()
await addForeignObjects()
t.setTimeout(300_000)
const FREED = '/run/bramble/freed'
const SOCKET = '/run/bramble/agent.sock'
const BARE = await kernelState()
const SMALL = { podCidrs: ['10.42.0.0/29'] }

let agent = await Agent.start()

t.test('a stopped agent leaves the data path as it is, and the next one takes it over', async (t) => {
  const pod = await Pod.add()
  const second = await pod.addInterface('net1')
  const before = { node: await kernelState(), pod: await kernelState(pod.netns), leases: await leases(agent) }
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGKILL'] as const) {
    t.equal(await agent.stop(signal), signal === 'SIGKILL' ? signal : 0)
    t.strictSame(await kernelState(), before.node, `nothing changed by ${signal}`)
    for (const address of pod.addresses) t.ok(await pings(undefined, address), 'the pod answers with no agent')
    agent = await Agent.start()
    t.strictSame(await leases(agent), before.leases)
    t.strictSame(await kernelState(), before.node, `nothing changed by the start after ${signal}`)
    t.strictSame(await kernelState(pod.netns), before.pod)
    t.match(await pod.check(), { exitCode: 0 })
  }
  await removed(second, pod)
})

t.test('hard case 7: not one packet is lost over restarts and over SIGKILL', async (t) => {
  const [a, b] = [await Pod.add(), await Pod.add()]
  const flows = await Promise.all([
    Flow.start(a.netns, b.netns, b.addresses[0] ?? ''),
    Flow.start(a.netns, b.netns, b.addresses[1] ?? ''),
    Flow.start(undefined, a.netns, a.addresses[0] ?? ''),
  ])
  for (const signal of ['SIGTERM', 'SIGKILL', 'SIGTERM', 'SIGKILL'] as const) {
    await agent.stop(signal)
    await sleep(200)
    agent = await Agent.start()
    await sleep(300)
  }
  for (const flow of flows) {
    const { sent, lost } = await flow.end()
    t.ok(sent > 200, `${sent} datagrams were sent`)
    t.strictSame(lost, [])
  }
  await removed(a, b)
})

t.test('SIGTERM finishes the calls that run; those that are not sent yet wait for the next agent', async (t) => {
  const namespaces = await Promise.all(Array.from({ length: 30 }, (_, i) => makeNetns(`busy${i}`)))
  const adds = namespaces.map((netns, i) => call('ADD', { containerId: `busy${i}`, netns }))
  await sleep(20)
  const stopped = agent.stop()
  t.equal(await stopped, 0)
  agent = await Agent.start()
  for (const add of adds) t.match(await add, { exitCode: 0 })
  t.strictSame(await agent.ask('ipam check'), [])
  t.equal(await heldAddresses(agent), 30)

  const program = await buildPlugin('patient', 10_000)
  const dels = namespaces.map((netns, i) => call('DEL', { containerId: `busy${i}`, netns, program }))
  await sleep(20)
  t.equal(await agent.stop(), 0)
  agent = await Agent.start()
  for (const del of dels) t.match(await del, { exitCode: 0, json: undefined })
  t.equal(await heldAddresses(agent), 0)
  t.strictSame(await settled(BARE), BARE)
})

t.test('a caller that says nothing does not hold SIGTERM up', async (t) => {
  const silent = createConnection(agent.socket)
  silent.on('error', () => {})
  await once(silent, 'connect')
  t.equal(await agent.stop(), 0)
  silent.destroy()
  agent = await Agent.start()
})

t.test('one agent per state directory, per socket, and per node', async (t) => {
  const pod = await Pod.add()
  const before = await kernelState()
  for (const [settings, reason] of [
    [{}, /^bramble-agent: another bramble-agent works on \/run\/bramble; stop it first\n$/],
    [{ stateDir: '/run/other' }, /^bramble-agent: another bramble-agent works on this node, .*; stop it first\n$/],
  ] as const) {
    const second = Agent.spawn(settings)
    t.equal(await second.ended(), 1)
    t.match(second.stderr, reason)
  }
  const elsewhere = await startedElsewhere('--state-dir', '/run/other', '--socket', agent.socket)
  t.match(elsewhere, {
    exitCode: 1,
    stderr: /another bramble-agent listens on \/run\/bramble\/agent.sock; stop it first\n$/,
  })
  t.strictSame(await kernelState(), before)
  t.match(await pod.check(), { exitCode: 0 }, 'the first goes on')
  await removed(pod)
})

t.test('a socket that was left behind is replaced; a file that is no socket stays, and is named', async (t) => {
  await agent.stop('SIGKILL')
  t.ok(statSync(agent.socket).isSocket(), 'a killed agent leaves its socket')
  agent = await Agent.start()
  t.equal(statSync(agent.socket).mode & 0o777, 0o600)
  await agent.stop()

  writeFileSync(agent.socket, 'precious')
  const refused = Agent.spawn()
  t.equal(await refused.ended(), 1)
  t.match(refused.stderr, /^bramble-agent: \/run\/bramble\/agent.sock is there and is no socket; remove it, .*\n$/)
  t.equal(readFileSync(agent.socket, 'utf8'), 'precious')
  rmSync(agent.socket)
  agent = await Agent.start()
})

t.test('a start that fails when callers wait already lets them go to the next agent', async (t) => {
  const pod = await Pod.add()
  await agent.stop()
  // No kernel refuses to list its links, so the test does: after the socket is there.
  const preload = `import { existsSync } from 'node:fs'
    import koffi from '${import.meta.resolve('koffi')}'
    const { load } = koffi
    koffi.load = (path) => {
      const library = load(path)
      const func = (prototype) => {
        const call = library.func(prototype)
        if (!prototype.includes(' send(')) return call
        const refused = () => (koffi.errno(koffi.os.errno.EPERM), -1)
        const send = (...args) => (existsSync('${SOCKET}') ? refused() : call(...args))
        return Object.assign(send, { info: call.info })
      }
      return { func }
    }`
  const program = await buildPlugin('patient', 10_000)
  const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(preload)}`
  const failing = Agent.spawn({ env: { NODE_OPTIONS } })
  const del = pod.del({ program })
  t.equal(await failing.ended(), 1)
  t.match(failing.stderr, /^bramble-agent: .*: EPERM\n$/)
  agent = await Agent.start()
  t.match(await del, { exitCode: 0 })
  t.strictSame(await leases(agent), [])
})

t.test('freed addresses go on resting over a restart, and are given again in their order', async (t) => {
  await agent.stop()
  rmSync(FREED)
  agent = await Agent.start(SMALL)
  const pods = [await Pod.add(), await Pod.add(), await Pod.add()] as const
  const [a, b, c] = pods
  const freed = [b, a, c].map((pod) => pod.addresses[0])
  for (const pod of [b, a, c]) await removed(pod)
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    await restart(SMALL, signal)
    t.match(await agent.ask('ipam'), [{ used: 0, cooling: 3, free: 4 }], signal)
  }
  const next = []
  for (let i = 0; i < 7; i++) next.push(await Pod.add())
  t.strictSame(
    next.slice(-3).map((pod) => pod.addresses[0]),
    freed,
    'the resting ones last, the longest rested first',
  )
  await removed(...next)
})

t.test('the rest goes on in monotonic time, however often the agent starts', async (t) => {
  await agent.stop()
  rmSync(FREED)
  agent = await Agent.start(SMALL)
  await removed(await Pod.add())
  await agent.stop()
  const record = readFileSync(FREED, 'utf8')
  const freedAtMs = Number(record.split('\n')[1]?.split(' ')[0])
  const nowMs = Number(process.hrtime.bigint() / 1_000_000n)
  t.ok(freedAtMs <= nowMs && nowMs - freedAtMs < 30_000, 'the record is in milliseconds since the boot')
  const halfRested = record.replace(String(freedAtMs), String(nowMs - 30_000))
  writeFileSync(FREED, halfRested)
  for (let start = 0; start < 2; start++) {
    agent = await Agent.start(SMALL)
    t.match(await agent.ask('ipam'), [{ cooling: 1 }])
    await agent.stop()
    t.equal(readFileSync(FREED, 'utf8'), halfRested, 'no start begins the rest anew')
  }
  writeFileSync(FREED, record.replace(String(freedAtMs), String(nowMs - 60_000)))
  agent = await Agent.start(SMALL)
  t.match(await agent.ask('ipam'), [{ used: 0, cooling: 0, free: 7 }])
})

t.test('when all is over, nothing of ours is left but the state directory', async (t) => {
  t.equal(await agent.stop(), 0)
  t.strictSame(await settled(BARE), BARE)
})

async function restart(settings?: AgentSettings, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  await agent.stop(signal)
  agent = await Agent.start(settings)
}

/** Starts an agent as another node, and waits until it ends. */
function startedElsewhere(...args: readonly string[]): Promise<Output> {
  return capture('unshare', ['--net', process.execPath, AGENT, '--pod-cidr', '10.43.0.0/24', ...args])
}
