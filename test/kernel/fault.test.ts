import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { FAULT_POINTS, type FaultPoint } from '../../agent/fault.ts'
import { hostLinkName, LINK_GROUP } from '../../agent/ownership.ts'
import { Agent } from './agent.ts'
import { pings } from './node.ts'
import { call, type Reply } from './plugin.ts'
import { enterScratchNode, makeNetns, run } from './scratch.ts'
import { addForeignObjects, heldAddresses, kernelState, leases, settled } from './state.ts'

/*
 * The agent is killed at every step boundary there is (agent/fault.ts), as the OOM killer or a panic would. After the
 * next start leases and kernel agree, nothing half made is left, and the runtime's next calls work. Hard case 3.
 */
await enterScratchNode()
t.setTimeout(300_000)
await addForeignObjects()

/** From here on the alias says that the attachment is whole, and the next agent takes it over. */
const WHOLE: readonly FaultPoint[] = ['add:recorded', 'add:answered']
/** The plugin has its answer by then. */
const ANSWERED: readonly FaultPoint[] = ['add:answered', 'del:answered', 'del:removing', 'del:removed']

await (await Agent.start()).stop() // what it has compiled makes all further starts twice as fast
let agent = await Agent.start()
const live = { containerId: 'live', netns: await makeNetns('live') }
succeeds(t, await call('ADD', live))
succeeds(t, await call('ADD', { ...live, ifname: 'net1' }))
const LIVE_LEASES = await leases(agent)
const LIVE = { node: await kernelState(), pod: await kernelState(live.netns) }
const EMPTY_POD = await kernelState(await makeNetns('empty'))

let containers = 0

for (const point of FAULT_POINTS) {
  const [when] = point.split(':')
  t.test(`hard case 3: the agent is killed at ${point}`, async (t) => {
    if (when === 'add')
      for (const ifname of ['eth0', 'net1']) await t.test(`with ${ifname}`, (t) => diesInAdd(t, point, ifname))
    else if (when === 'del')
      for (const ifname of ['eth0', 'net1']) await t.test(`with ${ifname}`, (t) => diesInDel(t, point, ifname))
    else await diesAtStart(t, point)
    await theLivePodIsUntouched(t)
  })
}

t.test('hard case 3: one start after the other is killed, each further on than the one before', async (t) => {
  const left = await leaveWorkForRecovery()
  for (const point of FAULT_POINTS.filter((point) => /^(recover|pending):/.test(point)))
    t.equal(await Agent.spawn({ env: { BRMTEST_FAULT: point } }).ended(), 'SIGKILL', point)
  agent = await Agent.start()
  await recoveredFrom(t, left)
})

t.test('a last agent finds leases and kernel agree', async (t) => {
  t.strictSame(await agent.ask('ipam check'), [])
  t.equal(await agent.stop(), 0)
})

async function diesInAdd(t: Test, point: FaultPoint, ifname: string): Promise<void> {
  const pod = await makeContainer(ifname)
  const before = await kernelState(pod.netns)
  const held = await heldAddresses(agent)
  const reply = await crash(t, point, () => call('ADD', pod))
  if (ANSWERED.includes(point)) t.equal(reply.exitCode, 0)
  else t.match(reply, { exitCode: 1, json: { code: 11, msg: /stopped while it worked on this ADD/ } })

  t.strictSame(await agent.ask('ipam check'), [])
  if (WHOLE.includes(point)) {
    t.equal(await heldAddresses(agent), held + 1, 'a whole attachment is taken over')
    t.match(await call('ADD', pod), { exitCode: 1, json: { code: 101 } }, 'and is there already for a second ADD')
  } else {
    t.equal(await heldAddresses(agent), held, 'the address of an unfinished ADD is free')
    succeeds(t, await call('ADD', pod), 'the same container can be added again, though nobody called DEL')
  }
  await canComeAndGo(t, pod)
  t.strictSame(await settled(before, pod.netns), before, 'nothing is left in the pod')
  await removeContainer(t, pod)
}

async function diesInDel(t: Test, point: FaultPoint, ifname: string): Promise<void> {
  const pod = await makeContainer(ifname)
  const before = await kernelState(pod.netns)
  const held = await heldAddresses(agent)
  succeeds(t, await call('ADD', pod))
  const reply = await crash(t, point, () => call('DEL', pod))
  t.match(reply, { exitCode: 0, json: undefined }, 'a DEL ends well all the same')
  t.equal(await heldAddresses(agent), held, 'its addresses are free')
  t.strictSame(await agent.ask('ipam check'), [])
  t.strictSame(await settled(before, pod.netns), before, 'nothing is left in the pod')
  await canComeAndGo(t, pod)
  t.strictSame(await settled(before, pod.netns), before, 'nothing is left in the pod')
  await removeContainer(t, pod)
}

async function diesAtStart(t: Test, point: FaultPoint): Promise<void> {
  const left = await leaveWorkForRecovery()
  t.equal(await Agent.spawn({ env: { BRMTEST_FAULT: point } }).ended(), 'SIGKILL')
  agent = await Agent.start()
  await recoveredFrom(t, left)
}

/** What a runtime does next: it removes what it has, and tries again under the same and under a new name. */
async function canComeAndGo(t: Test, pod: Container): Promise<void> {
  succeeds(t, await call('DEL', pod))
  succeeds(t, await call('ADD', pod), 'a retry with the same container id works')
  t.strictSame(await agent.ask('ipam check'), [])
  succeeds(t, await call('DEL', pod))
  const renamed = { ...pod, containerId: `${pod.containerId}-again` }
  succeeds(t, await call('ADD', renamed), 'and one with a new container id')
  succeeds(t, await call('DEL', renamed))
}

function succeeds(t: Test, { exitCode, json }: Reply, what = 'succeeds'): void {
  t.equal(exitCode, 0, exitCode === 0 ? what : `${what}: ${JSON.stringify(json)}`)
}

interface Container {
  readonly containerId: string
  readonly netns: string
  readonly ifname: string
}

/** For a further interface there is eth0 already. */
async function makeContainer(ifname: string): Promise<Container> {
  const containerId = `c${++containers}`
  const netns = await makeNetns(containerId)
  if (ifname !== 'eth0') await call('ADD', { containerId, netns })
  return { containerId, netns, ifname }
}

async function removeContainer(t: Test, { containerId, netns, ifname }: Container): Promise<void> {
  if (ifname !== 'eth0') succeeds(t, await call('DEL', { containerId, netns }))
  t.strictSame(await settled(EMPTY_POD, netns), EMPTY_POD)
  await run('ip', 'netns', 'delete', containerId)
}

/** Replaces the agent by one that dies at the point, makes the call, and lets a sound agent follow. */
async function crash(t: Test, point: FaultPoint, makeCall: () => Promise<Reply>): Promise<Reply> {
  await agent.stop('SIGKILL')
  const doomed = await Agent.start({ env: { BRMTEST_FAULT: point } })
  const reply = makeCall()
  t.equal(await doomed.ended(), 'SIGKILL', 'the fault point is on the way')
  agent = await Agent.start()
  return reply
}

interface Left {
  readonly half: Container
  readonly doomed: Container
  readonly noted: Container
}

/** An ADD cut short, a DEL cut short, a DEL that found no agent, and a route of ours that leads nowhere. */
async function leaveWorkForRecovery(): Promise<Left> {
  const doomed = await makeContainer('eth0')
  const noted = await makeContainer('eth0')
  const half = await makeContainer('eth0')
  for (const pod of [doomed, noted]) await call('ADD', pod)
  await agent.stop('SIGKILL')
  const last = await Agent.start({ env: { BRMTEST_FAULT: 'add:wired' } })
  await call('ADD', half)
  await last.ended()
  // The very first thing that a DEL does.
  await run('ip', 'link', 'set', hostLinkName(doomed.containerId, 'eth0'), 'group', String(LINK_GROUP.condemned))
  mkdirSync('/run/bramble/pending', { recursive: true })
  writeFileSync(`/run/bramble/pending/${noted.containerId}:eth0`, '')
  // Addresses that come to no pod's turn here.
  const link = hostLinkName('live', 'eth0')
  await run('ip', 'route', 'add', '10.42.0.254/32', 'dev', link, 'proto', '98')
  await run('ip', 'route', 'add', 'fd42::1:99/128', 'dev', link, 'proto', '98')
  return { half, doomed, noted }
}

async function recoveredFrom(t: Test, left: Left): Promise<void> {
  t.strictSame(await leases(agent), LIVE_LEASES)
  t.strictSame(await agent.ask('ipam check'), [])
  t.strictSame(readdirSync('/run/bramble/pending'), [])
  for (const pod of [left.half, left.doomed, left.noted]) {
    t.strictSame(await settled(EMPTY_POD, pod.netns), EMPTY_POD)
    succeeds(t, await call('ADD', pod))
    succeeds(t, await call('DEL', pod))
    await removeContainer(t, pod)
  }
}

async function theLivePodIsUntouched(t: Test): Promise<void> {
  t.strictSame(await leases(agent), LIVE_LEASES)
  t.strictSame(await settled(LIVE.node), LIVE.node, 'the node is as it was, with all that is not ours')
  t.strictSame(await kernelState(live.netns), LIVE.pod)
  for (const address of LIVE_LEASES.flatMap((line) => line.split(' ').slice(1)))
    t.ok(await pings(undefined, address), `the node reaches ${address}`)
}
