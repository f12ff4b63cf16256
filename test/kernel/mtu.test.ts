import t, { type Test } from 'tap'
import { Agent, type AgentSettings } from './agent.ts'
import { addUplink, link, pings } from './node.ts'
import { call } from './plugin.ts'
import { Pod } from './pod.ts'
import { enterScratchNode, makeNetns, run } from './scratch.ts'

/** The MTU of pods: the configuration's, then the agent's --mtu, then the smallest uplink's. */
await enterScratchNode()
await addUplink('wired', { mtuBytes: 1500, number: 1 })

t.test('without an uplink that has a default route, pods have 1500', async (t) => {
  await run('ip', 'route', 'flush', 'default')
  await run('ip', '-6', 'route', 'flush', 'default')
  await run('ip', 'link', 'set', 'wired', 'mtu', '1400')
  await startAgent(t)
  t.equal(await mtuOfNewPod(t), 1500)
})

t.test('pods have the MTU of the uplinks as it is at the moment', async (t) => {
  await run('ip', 'link', 'set', 'wired', 'mtu', '1492')
  await run('ip', 'route', 'add', 'default', 'via', '192.0.2.254', 'dev', 'wired')
  const agent = await startAgent(t)
  t.equal(await mtuOfNewPod(t), 1492, 'at the start')
  t.equal((await agent.ask('status')).mtuBytes, 1492)

  await run('ip', 'link', 'set', 'wired', 'mtu', '1450')
  t.equal(await mtuOfNewPod(t), 1450, 'after a change')

  await addUplink('wireless', { mtuBytes: 1400, number: 2 })
  t.equal(await mtuOfNewPod(t), 1400, 'after a smaller uplink has come')

  await run('ip', 'link', 'set', 'wireless', 'mtu', '1470')
  t.equal(await mtuOfNewPod(t), 1450, 'the smaller one counts')

  await run('ip', 'link', 'set', 'wired', 'mtu', '1500')
  t.equal(await mtuOfNewPod(t), 1470, 'of the two')

  await run('ip', 'link', 'delete', 'wireless')
  t.equal(await mtuOfNewPod(t), 1500, 'after it has gone')

  await addUplink('ipv6-only', { mtuBytes: 1380, number: 3 })
  await run('ip', '-4', 'route', 'flush', 'default', 'dev', 'ipv6-only')
  t.equal(await mtuOfNewPod(t), 1380, 'a default route of IPv6 counts as well')
  await run('ip', 'link', 'delete', 'ipv6-only')

  await run('ip', 'link', 'add', 'aside', 'mtu', '1300', 'type', 'veth', 'peer', 'aside-peer')
  await run('ip', 'link', 'set', 'aside', 'up')
  t.equal(await mtuOfNewPod(t), 1500, 'a link without a default route does not count')
  await run('ip', 'link', 'delete', 'aside')
})

t.test('pods that run keep the MTU that they have', async (t) => {
  await startAgent(t)
  const pod = await Pod.add()
  await run('ip', 'link', 'set', 'wired', 'mtu', '1400')
  t.equal(await mtuOfNewPod(t), 1400)
  t.equal((await link(pod.netns, 'eth0')).mtu, 1500)
  t.match(await pod.check(), { exitCode: 0 })
  await run('ip', 'link', 'set', 'wired', 'mtu', '1500')
})

t.test('an uplink of several ways (nexthops) counts', async (t) => {
  await addUplink('second', { mtuBytes: 1390, number: 4 })
  for (const family of ['-4', '-6']) await run('ip', family, 'route', 'flush', 'default')
  const ways = ['nexthop', 'via', '192.0.2.254', 'dev', 'wired', 'nexthop', 'via', '192.0.2.253', 'dev', 'second']
  await startAgent(t)
  t.equal(await mtuOfNewPod(t), 1500)
  await run('ip', 'route', 'add', 'default', ...ways)
  t.equal(await mtuOfNewPod(t), 1390)
  await run('ip', 'link', 'delete', 'second')
})

t.test('--mtu goes before the uplinks, and "mtu" of the configuration before both', async (t) => {
  await startAgent(t, { args: ['--mtu=1420'] })
  t.equal(await mtuOfNewPod(t), 1420)
  t.equal(await mtuOfNewPod(t, { mtu: 0 }), 1420)
  t.equal(await mtuOfNewPod(t, { mtu: 1330 }), 1330)
  t.equal(await mtuOfNewPod(t, { mtu: 9000 }), 9000)
})

t.test('with IPv6, an MTU below 1280 is refused, and no address is lost', async (t) => {
  const agent = await startAgent(t)
  const netns = await makeNetns('too-small')
  t.match(await call('ADD', { containerId: 'too-small', netns, config: { mtu: 1279 } }), {
    exitCode: 1,
    json: { code: 7, msg: '"mtu" is 1279', details: /IPv6 needs at least 1280/ },
  })
  t.equal(await mtuOfNewPod(t, { mtu: 1280 }), 1280)

  await run('ip', 'route', 'replace', 'default', 'via', '192.0.2.254', 'dev', 'wired')
  await run('ip', 'link', 'set', 'wired', 'mtu', '1200')
  t.match(await call('ADD', { containerId: 'too-small', netns }), {
    exitCode: 1,
    json: { code: 7, msg: 'the MTU for pods on this node is 1200', details: /--mtu of bramble-agent, and the uplinks/ },
  })
  await run('ip', 'link', 'set', 'wired', 'mtu', '1500')
  t.equal(await mtuOfNewPod(t), 1500, 'it heals')
  t.strictSame(await agent.ask('ipam check'), [])

  const refused = Agent.spawn({ args: ['--mtu=1279'], stateDir: '/run/refused' })
  t.equal(await refused.ended(), 2)
  t.match(refused.stderr, '--mtu 1279 is too small for the pods of fd42::/64: IPv6 needs at least 1280')
})

t.test('with IPv4 alone, it may be as small as 68', async (t) => {
  await startAgent(t, { podCidrs: ['10.42.0.0/24'], args: ['--mtu=576'] })
  for (const mtu of [0, 1279, 68]) {
    const pod = await Pod.add({ config: { mtu } })
    t.equal((await link(pod.netns, 'eth0')).mtu, mtu || 576)
    t.ok(await pings(undefined, pod.addresses[0] ?? '', '-s', '20'))
    t.match(await pod.check(), { exitCode: 0 })
    t.match(await pod.del(), { exitCode: 0 })
  }
})

t.test('CHECK passes for a pod with IPv4 alone whose MTU a later plugin makes smaller than IPv6 needs', async (t) => {
  await startAgent(t, { podCidrs: ['10.42.0.0/24'] })
  const pod = await Pod.add()
  await run('ip', '-netns', pod.containerId, 'link', 'set', 'eth0', 'mtu', '1000')
  t.match(await pod.check(), { exitCode: 0 })
})

t.end()

async function startAgent(t: Test, settings: AgentSettings = {}): Promise<Agent> {
  const agent = await Agent.start(settings)
  t.after(() => agent.stop())
  return agent
}

/** The same on both ends and in the result. */
async function mtuOfNewPod(t: Test, config: Readonly<Record<string, unknown>> = {}): Promise<number | undefined> {
  const pod = await Pod.add({ config })
  const mtu = pod.result.interfaces[1]?.mtu
  t.equal(pod.result.interfaces[0]?.mtu, mtu)
  t.equal((await link(undefined, pod.hostLink)).mtu, mtu)
  t.equal((await link(pod.netns, 'eth0')).mtu, mtu)
  await pod.del()
  return mtu
}
