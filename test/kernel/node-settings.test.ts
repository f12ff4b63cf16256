import { readdirSync } from 'node:fs'
import t, { type Test } from 'tap'
import { Agent, sleep, until } from './agent.ts'
import { addUplink, ip, ipLines, link, NODE, pings, runIn, setSysctl, sysctl } from './node.ts'
import { routerAdvertisement, sendFrame } from './packet.ts'
import { Pod } from './pod.ts'
import { enterScratchNode, run } from './scratch.ts'

/** What the agent does to the node's own settings, and what a pod cannot do to the node or in the name of others. */
const FORWARDING = { 4: 'ipv4/ip_forward', 6: 'ipv6/conf/all/forwarding' } as const

await enterScratchNode()
await addUplink()

t.test('the node becomes a router for the families of its pods, with a line in the log for each setting', async (t) => {
  for (const [podCidrs, expected] of [
    [['10.42.0.0/24', 'fd42::/64'], { 4: '1', 6: '1' }],
    [['10.42.0.0/24'], { 4: '1', 6: '0' }],
    [['fd42::/64'], { 4: '0', 6: '1' }],
  ] as const) {
    for (const key of Object.values(FORWARDING)) await setSysctl(undefined, key, '0')
    const agent = await start(t, podCidrs)
    for (const [family, key] of [
      [4, FORWARDING[4]],
      [6, FORWARDING[6]],
    ] as const) {
      t.equal(await sysctl(undefined, key), expected[family], `${podCidrs}: ${key}`)
      const lines = changes(agent).filter((line) => line.sysctl === `net/${key}`)
      t.match(lines, expected[family] === '1' ? [{ before: '0', value: '1' }] : [])
      t.equal(lines.length, Number(expected[family]))
    }
    await agent.stop()
  }
})

t.test('an uplink that lives by router advertisements goes on to take them', async (t) => {
  for (const key of Object.values(FORWARDING)) await setSysctl(undefined, key, '0')
  await setSysctl(undefined, 'ipv6/conf/uplink/accept_ra', '1')
  await run('ip', 'link', 'add', 'eth0.7', 'type', 'veth', 'peer', 'switch.7') // a name with a dot
  for (const link of ['uplink-peer', 'switch.7']) await setSysctl(undefined, `ipv6/conf/${link}/accept_ra`, '0')
  await setSysctl(undefined, 'ipv6/conf/eth0.7/accept_ra', '1')
  const agent = await start(t)
  t.equal(await sysctl(undefined, 'ipv6/conf/uplink/accept_ra'), '2')
  t.equal(await sysctl(undefined, 'ipv6/conf/eth0.7/accept_ra'), '2')
  t.equal(await sysctl(undefined, 'ipv6/conf/uplink-peer/accept_ra'), '0', 'one that takes none does not begin to')
  t.match(
    changes(agent).map(({ sysctl }) => sysctl),
    ['net/ipv4/ip_forward', /accept_ra$/, /accept_ra$/, 'net/ipv6/conf/all/forwarding'],
  )
  await run('ip', 'link', 'delete', 'eth0.7')
  await agent.stop()
})

t.test('status names what somebody has undone since, and what to do', async (t) => {
  const agent = await start(t)
  t.strictSame((await agent.ask('status')).problems, [])
  for (const [key, command] of [
    [FORWARDING[4], 'sysctl -w net/ipv4/ip_forward=1'],
    [FORWARDING[6], 'sysctl -w net/ipv6/conf/all/forwarding=1'],
  ] as const) {
    await setSysctl(undefined, key, '0')
    const { problems } = await agent.ask('status')
    t.equal(problems.length, 1)
    t.match(problems[0], `net/${key} is 0: the node drops what pods send and get`)
    t.ok(problems[0]?.endsWith(command))
    await setSysctl(undefined, key, '1')
    t.strictSame((await agent.ask('status')).problems, [])
  }
  await agent.stop()
})

t.test('settings that are right already are not touched, and stay when the agent goes', async (t) => {
  const before = await settings()
  const agent = await start(t)
  t.strictSame(changes(agent), [])
  t.strictSame(await settings(), before)
  await agent.stop()
  t.strictSame(await settings(), before)
})

t.test('no pod changes a setting of the node or of its other links', async (t) => {
  await start(t)
  const before = await settings()
  const pod = await Pod.add()
  t.match(await pod.del(), { exitCode: 0 })
  await until('its link is gone', async () => !readdirSync('/proc/sys/net/ipv4/conf').includes(pod.hostLink))
  t.strictSame(await settings(), before)
})

t.test('hard case 17: a pod that sends from a foreign IPv4 address does not get through', async (t) => {
  await start(t)
  const [liar, victim, target] = await Promise.all([Pod.add(), Pod.add(), Pod.add()])
  for (const foreign of [victim.addresses[0], '10.42.0.250', '192.0.2.77', NODE[4], '8.8.8.8']) {
    await runIn(liar.netns, 'ip', 'address', 'add', `${foreign}/32`, 'dev', 'eth0')
    for (const [where, address] of [
      [target.netns, target.addresses[0]],
      [undefined, NODE[4]],
    ] as const) {
      const before = await echoRequests(where, 4)
      t.notOk(await pings(liar.netns, address ?? '', '-I', foreign ?? '', '-W', '0.1'))
      t.equal(await echoRequests(where, 4), before, `${foreign} to ${address}`)
    }
    await runIn(liar.netns, 'ip', 'address', 'delete', `${foreign}/32`, 'dev', 'eth0')
  }
  const before = await echoRequests(target.netns, 4)
  t.ok(await pings(liar.netns, target.addresses[0] ?? ''), 'from its own it does')
  t.equal(await echoRequests(target.netns, 4), before + 1)
})

// The greater of both settings counts; but loose is strict on a link that has no IPv4 address (fib_frontend.c).
t.test('hard case 17: it does not either on a node whose rp_filter is loose for all links', async (t) => {
  await start(t)
  await setSysctl(undefined, 'ipv4/conf/all/rp_filter', '2')
  t.after(() => setSysctl(undefined, 'ipv4/conf/all/rp_filter', '0'))
  await foreignSource(t, 4)
})

// IPv6 has no rp_filter: a rule of nftables does it.
t.test('hard case 17: a pod that sends from a foreign IPv6 address does not get through', async (t) => {
  await start(t)
  await foreignSource(t, 6)
})

t.test('hard case 17: a router advertisement from a pod changes nothing on the node', async (t) => {
  await start(t)
  const pod = await Pod.add()
  const index = (await link(pod.netns, 'eth0')).ifindex
  const linkLocal = (await ip(pod.netns, 'address', 'show', 'dev', 'eth0'))[0].addr_info.find(
    ({ scope }: { scope: string }) => scope === 'link',
  ).local
  const advertise = () => sendFrame(pod.netns, index, routerAdvertisement(pod.mac, linkLocal))
  // The kernel makes its own routes for the new link a moment later.
  let before = await ipv6State()
  await until('nothing moves by itself any more', async () => {
    const last = JSON.stringify(before)
    await sleep(200)
    before = await ipv6State()
    return JSON.stringify(before) === last
  })
  advertise()
  t.ok(await pings(undefined, pod.addresses[1] ?? ''), 'a packet later')
  await sleep(50)
  t.strictSame(await ipv6State(), before)

  await setSysctl(undefined, `ipv6/conf/${pod.hostLink}/accept_ra`, '2')
  advertise()
  await until('the same advertisement would have', async () =>
    (await ipLines(undefined, '-6', 'route', 'show', 'default')).some((route) => route.includes(pod.hostLink)),
  )
})

t.end()

async function start(t: Test, podCidrs: readonly string[] = ['10.42.0.0/24', 'fd42::/64']): Promise<Agent> {
  const agent = await Agent.start({ podCidrs })
  t.after(() => agent.stop())
  return agent
}

function changes(agent: Agent): Record<string, unknown>[] {
  return agent.log.filter(({ msg }) => msg === 'changed a setting of the node: pods need it')
}

/** The settings of IP of the whole node, but for those of pods' links. */
async function settings(): Promise<string[]> {
  const output = await run('sysctl', '-a', '-r', '^net\\.ipv[46]\\.(conf|neigh|ip_forward)')
  return output.split('\n').filter((line) => !line.includes('brm') && !line.includes('stable_secret'))
}

async function ipv6State(): Promise<object> {
  return {
    addresses: await ipLines(undefined, '-6', 'address'),
    routes: await ipLines(undefined, '-6', 'route', 'show', 'table', 'all'),
  }
}

async function foreignSource(t: Test, family: 4 | 6): Promise<void> {
  const [liar, victim, target] = await Promise.all([Pod.add(), Pod.add(), Pod.add()])
  const index = family === 4 ? 0 : 1
  const foreign = victim.addresses[index] ?? ''
  await runIn(liar.netns, 'ip', 'address', 'add', foreign, 'dev', 'eth0', ...(family === 6 ? ['nodad'] : []))
  const before = await echoRequests(target.netns, family)
  await pings(liar.netns, target.addresses[index] ?? '', '-I', foreign, '-W', '0.1')
  t.equal(await echoRequests(target.netns, family), before)
}

/** How many echo requests have arrived there. */
async function echoRequests(netns: string | undefined, family: 4 | 6): Promise<number> {
  if (family === 6) {
    const [, count] = /^Icmp6InEchos\s+(\d+)/m.exec(await runIn(netns, 'cat', '/proc/net/snmp6')) ?? []
    return Number(count)
  }
  const [names, values] = (await runIn(netns, 'cat', '/proc/net/snmp'))
    .split('\n')
    .filter((line) => line.startsWith('Icmp:'))
    .map((line) => line.split(' '))
  return Number(values?.[names?.indexOf('InEchos') ?? -1])
}
