import t from 'tap'
import { Agent, until } from './agent.ts'
import { addUplink, ipLines, linkNames, NODE, pings, runIn, setSysctl } from './node.ts'
import { call } from './plugin.ts'
import { Pod } from './pod.ts'
import { enterScratchNode, makeNetns } from './scratch.ts'

/** Several interfaces for one container: each works by itself, and goes by itself. */
await enterScratchNode()
await addUplink()
const agent = await Agent.start()
t.after(() => agent.stop())

t.test('all addresses of a container answer, from the node and from other pods', async (t) => {
  const eth0 = await Pod.add()
  const other = await Pod.add()
  for (const ifname of ['net1', 'net2']) {
    const further = await eth0.addInterface(ifname)
    t.strictNotSame(further.addresses, eth0.addresses)
    for (const address of further.addresses) {
      t.ok(await pings(undefined, address), `node to ${ifname}: ${address}`)
      t.ok(await pings(other.netns, address), `pod to ${ifname}: ${address}`)
    }
    t.match(await further.check(), { exitCode: 0 })
  }
  for (const address of eth0.addresses) t.ok(await pings(other.netns, address), `pod to eth0: ${address}`)
  t.match(await eth0.check(), { exitCode: 0 })
})

t.test('replies leave where the requests came in', async (t) => {
  const eth0 = await Pod.add()
  const net1 = await eth0.addInterface('net1')
  // A node that checks source addresses strictly (rp_filter=1 on its pod links) takes no reply over the wrong one.
  await setSysctl(eth0.netns, 'ipv4/conf/all/rp_filter', '1')
  for (const [index, node] of Object.values(NODE).entries())
    for (const pod of [eth0, net1]) {
      const address = pod.addresses[index] ?? ''
      t.ok(await pings(undefined, address))
      t.match(await routeTo(pod.netns, node, 'from', address), ` dev ${pod.ifname} `)
    }
})

t.test('what a container sends of its own accord leaves over eth0, whichever was added first', async (t) => {
  const net1 = await Pod.add({ ifname: 'net1' })
  for (const target of Object.values(NODE)) t.ok(await pings(net1.netns, target), 'over net1 while it is alone')
  const eth0 = await net1.addInterface('eth0')
  for (const target of Object.values(NODE)) t.match(await routeTo(eth0.netns, target), / dev eth0 /)
  for (const target of Object.values(NODE)) t.ok(await pings(eth0.netns, target))
})

t.test('DEL of one interface leaves the others as they are', async (t) => {
  const eth0 = await Pod.add()
  const net1 = await eth0.addInterface('net1')
  t.match(await net1.del(), { exitCode: 0 })
  await until('net1 is gone', async () => !(await linkNames(eth0.netns)).includes('net1'))
  t.strictSame(await furtherRules(eth0.netns), [], 'its rules went along')
  t.match(await eth0.check(), { exitCode: 0 })

  const again = await eth0.addInterface('net1')
  t.match(await eth0.del(), { exitCode: 0 })
  await until('eth0 is gone', async () => !(await linkNames(eth0.netns)).includes('eth0'))
  t.match(await again.check(), { exitCode: 0 })
  for (const address of again.addresses) t.ok(await pings(undefined, address))
})

t.test('hard case 14: ifname exists already: ADD is an error, and leaves it untouched', async (t) => {
  t.test('as ours, of this container', async (t) => {
    const pod = await Pod.add()
    const { containerId, netns } = pod
    t.match(await call('ADD', { containerId, netns }), {
      exitCode: 1,
      json: { code: 101, msg: `eth0 of container ${containerId} exists already`, details: 'DEL it first' },
    })
    t.match(await pod.check(), { exitCode: 0 })
  })

  t.test('as ours, of another container in the same namespace', async (t) => {
    const pod = await Pod.add()
    t.match(await call('ADD', { containerId: 'second-of-two', netns: pod.netns }), {
      exitCode: 1,
      json: { code: 101, msg: 'eth0 exists already in the container', details: 'it stays as it is' },
    })
    t.match(await pod.check(), { exitCode: 0 })
    for (const address of pod.addresses) t.ok(await pings(undefined, address))
  })

  t.test("as somebody else's", async (t) => {
    const netns = await makeNetns('has-eth0')
    await runIn(netns, 'ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'peer0')
    await runIn(netns, 'ip', 'address', 'add', '198.51.100.1/24', 'dev', 'eth0')
    const before = await ipLines(netns, '-details', 'address')
    t.match(await call('ADD', { containerId: 'has-eth0', netns }), { exitCode: 1, json: { code: 101 } })
    t.strictSame(await ipLines(netns, '-details', 'address'), before)
    t.match(await call('DEL', { containerId: 'has-eth0', netns }), { exitCode: 0 })
    t.strictSame(await ipLines(netns, '-details', 'address'), before)
  })

  t.test('and no address is lost by it', async (t) => t.strictSame(await agent.ask('ipam check'), []))
})

t.end()

async function routeTo(netns: string, target: string, ...options: readonly string[]): Promise<string> {
  return `${(await ipLines(netns, 'route', 'get', target, ...options))[0]} `
}

async function furtherRules(netns: string): Promise<string[]> {
  return [...(await ipLines(netns, '-4', 'rule')), ...(await ipLines(netns, '-6', 'rule'))].filter((rule) =>
    rule.startsWith('1000:'),
  )
}
