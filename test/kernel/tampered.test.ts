import t from 'tap'
import { formatAlias } from '../../agent/alias.ts'
import { hostLinkName, LINK_GROUP } from '../../agent/ownership.ts'
import { Agent, type AgentSettings, until } from './agent.ts'
import { addUplink, link, linkNames, pings } from './node.ts'
import { call } from './plugin.ts'
import { Pod } from './pod.ts'
import { enterScratchNode, makeNetns, run } from './scratch.ts'
import { addForeignObjects, heldAddresses, kernelState, leases, removed, settled } from './state.ts'

/*
 * Between two runs of the agent somebody has changed what it finds in the kernel, or told it other CIDRs. A living pod
 * keeps its network, no address is given twice, and what is not ours stays.
 */
await enterScratchNode()
await addUplink()
t.setTimeout(300_000)
const BARE = await kernelState()

let agent = await Agent.start()
let foreign = BARE

const DAMAGED = {
  'of a later version': 'bramble/2 and more',
  'with an address that is none': (pod: Pod) => formatAlias(recordOf(pod, ['10.42.0.999'])),
  "that is another pod's": (pod: Pod) => formatAlias({ ...recordOf(pod, pod.addresses), containerId: 'other' }),
  'that is somebody’s note': 'web server, do not touch ✔',
}

for (const [what, alias] of Object.entries(DAMAGED))
  t.test(`a pod whose link has a record ${what} keeps its network and its addresses, until its DEL`, async (t) => {
    const pod = await Pod.add()
    await agent.stop()
    await run('ip', 'link', 'set', pod.hostLink, 'alias', typeof alias === 'string' ? alias : alias(pod))
    const before = await kernelState()
    agent = await Agent.start()
    t.strictSame(await kernelState(), before)
    const isInForce = () => agent.log.some(({ msg }) => msg === 'the table of policies is in the kernel')
    await until('policies are in force', async () => isInForce())
    for (const address of pod.addresses) t.ok(await pings(undefined, address))
    t.equal(await heldAddresses(agent), 1)
    t.match(problems(), [
      { link: pod.hostLink, addresses: pod.addresses, msg: /record of a pod cannot be read.*delete the pod/ },
    ])
    t.not((await agent.ask('ipam check')).length, 0, 'ipam check tells')

    t.match(await pod.del(), { exitCode: 0 })
    t.strictSame(await leases(agent), [])
    t.strictSame(await settled(BARE), BARE)
    await pod.vanish()
  })

t.test('such a pod frees its addresses without a DEL, too, when its namespace goes', async () => {
  const pod = await Pod.add()
  await agent.stop()
  await run('ip', 'link', 'set', pod.hostLink, 'alias', 'mine')
  agent = await Agent.start()
  await pod.vanish()
  await until('freed', async () => (await heldAddresses(agent)) === 0)
})

t.test('a link of ours without a record is half an ADD, and goes', async (t) => {
  const pod = await Pod.add()
  await agent.stop()
  await run('ip', 'link', 'set', pod.hostLink, 'alias', '')
  agent = await Agent.start()
  t.strictSame(await leases(agent), [])
  t.strictSame(await settled(BARE), BARE)
  await pod.vanish()
})

t.test('a link of ours in another group is ours all the same, for the running agent and for the next', async (t) => {
  const [a, b] = [await Pod.add(), await Pod.add()]
  const before = { state: await kernelState(), leases: await leases(agent) }
  await agent.stop()
  for (const pod of [a, b]) await run('ip', 'link', 'set', pod.hostLink, 'group', 'default')
  agent = await Agent.start()
  t.strictSame(await leases(agent), before.leases)
  t.strictSame(await kernelState(), before.state, 'it is put back')
  t.strictSame(await agent.ask('ipam check'), [])

  await run('ip', 'link', 'set', b.hostLink, 'group', '7')
  t.match(await b.check(), { exitCode: 0 })
  await removed(a, b)
  t.strictSame(await settled(BARE), BARE)
})

t.test(
  'two links claim one address: both pods stay, the log names them, and the address is free after both',
  async (t) => {
    const [a, b] = [await Pod.add(), await Pod.add()]
    await agent.stop()
    await run('ip', 'link', 'set', b.hostLink, 'alias', formatAlias(recordOf(b, a.addresses)))
    agent = await Agent.start()
    t.match(problems(), [{ msg: /held by two pods/, conflicts: a.addresses }])
    t.match(await agent.ask('ipam check'), [/is held twice/, /is held twice/])
    t.equal(await heldAddresses(agent), 1)
    await removed(a)
    t.equal(await heldAddresses(agent), 1, 'the other still has it')
    t.notOk((await Pod.add()).addresses.includes(a.addresses[0] ?? ''))
    await removed(b)
    t.equal(await heldAddresses(agent), 1)
    await restart({})
    await run('ip', '-all', 'netns', 'delete')
    await until('freed', async () => (await heldAddresses(agent)) === 0)
  },
)

t.test('links of others that are named like ours stay as they are', async (t) => {
  await addForeignObjects()
  foreign = await kernelState()
  await restart({})
  t.strictSame(await kernelState(), foreign)

  const netns = await makeNetns('somebody-elses')
  t.match(await call('ADD', { containerId: 'somebody-elses', netns }), {
    exitCode: 1,
    json: {
      code: 101,
      msg: /a link brm[0-9a-f]{12} that is not ours exists on the node/,
      details: /remove or rename it/,
    },
  })
  t.strictSame(await linkNames(netns), ['lo'])
  t.match(await call('DEL', { containerId: 'somebody-elses', netns }), { exitCode: 0 })
  t.strictSame(await settled(foreign), foreign)
  t.strictSame(await leases(agent), [])
})

t.test('other CIDRs: pods keep the addresses that they have, new ones get new ones', async (t) => {
  const old = await Pod.add()
  await restart({ podCidrs: ['10.99.0.0/24'] })
  t.match(await leases(agent), [`${old.containerId}:eth0 ${old.addresses.join(' ')}`])
  const fresh = await Pod.add()
  t.strictSame(fresh.addresses, ['10.99.0.1'])
  for (const pod of [old, fresh]) for (const address of pod.addresses) t.ok(await pings(undefined, address))
  t.ok(await pings(fresh.netns, old.addresses[0] ?? ''), 'old and new reach each other')
  t.match(await old.check(), { exitCode: 0 })
  t.strictSame(await agent.ask('ipam check'), [])

  await restart({ podCidrs: ['10.99.0.0/31', 'fd99::/64'] })
  t.equal((await leases(agent)).length, 2)
  t.match(await agent.ask('ipam'), [{ used: 1, free: 0 }, { used: 0 }], 'of a smaller CIDR what is held counts')
  await removed(old)
  await restart({})
  t.strictSame(await leases(agent), [`${fresh.containerId}:eth0 10.99.0.1`])
  await removed(fresh)
  t.strictSame(await leases(agent), [])
  t.strictSame(await agent.ask('ipam check'), [])
})

t.test('routes of ours that lead astray go, and missing ones come back', async (t) => {
  const pod = await Pod.add()
  const before = await kernelState()
  await agent.stop()
  await run('ip', 'route', 'delete', `${pod.addresses[0]}/32`)
  await run('ip', 'route', 'add', '10.42.0.77/32', 'dev', pod.hostLink, 'proto', '98')
  await run('ip', '-6', 'route', 'add', 'fd42::77/128', 'dev', pod.hostLink, 'proto', '98')
  await run('ip', 'route', 'add', '10.42.0.78/32', 'dev', pod.hostLink, 'proto', 'static')
  agent = await Agent.start()
  await run('ip', 'route', 'delete', '10.42.0.78/32', 'proto', 'static')
  t.strictSame(await kernelState(), before)
  await removed(pod)
})

t.test('when all is over, nothing of ours is left', async (t) => {
  t.strictSame(await agent.ask('ipam check'), [])
  t.equal(await agent.stop(), 0)
  t.strictSame(await settled(foreign), foreign)
  t.match(await link(undefined, hostLinkName('somebody-elses', 'eth0')), { group: 'default' })
  t.match(await link(undefined, 'brm00000000beef'), { group: String(LINK_GROUP.pods) })
})

function recordOf({ containerId, ifname }: Pod, addresses: readonly string[]) {
  return { containerId, ifname, network: 'bramble', addresses, pod: '' }
}

/** What this agent has logged as an error. */
function problems(): readonly Record<string, unknown>[] {
  return agent.log.filter(({ level }) => Number(level) >= 50)
}

async function restart(settings: AgentSettings): Promise<void> {
  await agent.stop()
  agent = await Agent.start(settings)
}
