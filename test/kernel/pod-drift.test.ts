import t from 'tap'
import { Agent, until } from './agent.ts'
import { addUplink, ipLines, linkNames, pings, runIn, setSysctl, sysctl } from './node.ts'
import { Pod } from './pod.ts'
import { capture, enterScratchNode, run } from './scratch.ts'
import { kernelState, settled } from './state.ts'

/*
 * What somebody takes from a pod's side on the node is put back while the agent runs; what is another program's, and
 * what is inside of the pod, stays.
 */

/** A second is promised where the machine has time; without an event it would take half a minute and more. */
const BOUND_MS = 10_000

await enterScratchNode()
await addUplink()
t.setTimeout(120_000)
const BARE = await kernelState()
let agent = await Agent.start()
t.after(() => agent.stop())
const pod = await Pod.add()
const { hostLink } = pod
const [ipv4 = '', ipv6 = ''] = pod.addresses

const SETTINGS = [
  'ipv4/conf/{}/rp_filter',
  'ipv4/conf/{}/forwarding',
  'ipv4/conf/{}/proxy_arp',
  'ipv6/conf/{}/disable_ipv6',
  'ipv6/conf/{}/forwarding',
  'ipv6/conf/{}/proxy_ndp',
  'ipv6/conf/{}/addr_gen_mode',
].map((key) => key.replace('{}', hostLink))

/** The node, and the settings of the pod's link. */
async function nodeState(): Promise<readonly string[]> {
  const settings = SETTINGS.map(async (key) => `${key}=${await sysctl(undefined, key).catch(() => 'absent')}`)
  return [...(await kernelState()), ...(await Promise.all(settings))]
}

async function isBack(what: string, before: readonly string[]): Promise<void> {
  const text = JSON.stringify(before)
  await until(what, async () => JSON.stringify(await nodeState()) === text, BOUND_MS)
}

const DAMAGE: Readonly<Record<string, readonly string[]>> = {
  'all our routes are flushed': ['route flush proto 98', '-6 route flush proto 98'],
  'a route is deleted': [`route delete ${ipv4}/32`],
  'an IPv6 route is deleted': [`-6 route delete ${ipv6}/128`],
  'a neighbour is deleted': [`neighbour delete ${ipv4} dev ${hostLink}`],
  'all neighbours are flushed': [`neighbour flush dev ${hostLink} nud permanent`],
  'a neighbour gets another MAC': [`neighbour replace ${ipv4} lladdr 02:00:00:00:00:01 dev ${hostLink} nud permanent`],
  'a neighbour is no longer permanent': [`neighbour change ${ipv6} lladdr ${pod.mac} dev ${hostLink} nud stale`],
  'the gateway’s address is deleted': [`address flush dev ${hostLink}`],
  'the link is set down': [`link set ${hostLink} down`],
  'the link gets another MAC': [`link set ${hostLink} address 02:00:00:00:00:01`],
  'the link gets another group': [`link set ${hostLink} group 7`],
  'the link gets another name': [`link set ${hostLink} down`, `link set ${hostLink} name lan0 up`],
  'the record of the link is overwritten': [`link set ${hostLink} alias uplink`],
  'the record of the link is removed': [`link set ${hostLink} alias `],
  'the kernel is told to make addresses': [`link set ${hostLink} addrgenmode random`],
  'all of it at once': [
    `link set ${hostLink} down address 02:00:00:00:00:01 group 7`,
    `link set ${hostLink} alias uplink`,
    `link set ${hostLink} addrgenmode eui64`,
  ],
}

for (const [what, commands] of Object.entries(DAMAGE))
  t.test(`it is put back when ${what}`, async (t) => {
    const before = await nodeState()
    for (const command of commands) await run('ip', ...command.split(' '))
    await isBack(what, before)
    t.match(await pod.check(), { exitCode: 0 })
    for (const address of pod.addresses) t.ok(await pings(undefined, address))
  })

for (const key of SETTINGS)
  t.test(`the setting ${key.replace(hostLink, 'LINK')} is put back`, async (t) => {
    // Of the last no event tells by itself; whatever else is amiss brings it back, too.
    const isMode = key.endsWith('addr_gen_mode')
    const before = await nodeState()
    await setSysctl(
      undefined,
      key,
      key.endsWith('rp_filter') ? '2' : isMode || (await sysctl(undefined, key)) === '1' ? '0' : '1',
    )
    if (isMode) await run('ip', 'link', 'set', hostLink, 'group', '7')
    await isBack(key, before)
    t.match(await pod.check(), { exitCode: 0 })
  })

t.test('what happens inside of the pod is the pod’s', async (t) => {
  await runIn(pod.netns, 'ip', 'neighbour', 'flush', 'dev', 'eth0', 'nud', 'permanent')
  await runIn(pod.netns, 'ip', '-6', 'route', 'delete', 'default')
  const inside = await kernelState(pod.netns)
  const before = await nodeState()
  await run('ip', 'route', 'flush', 'proto', '98')
  await isBack('the node’s side', before)
  t.strictSame(await kernelState(pod.netns), inside)
  t.match(await pod.check(), { exitCode: 1, json: { msg: /in the pod/ } })
  for (const { address, mac } of [
    { address: '169.254.1.1', mac: 'ee:ee:ee:ee:ee:ee' },
    { address: 'fe80::ecee:eeff:feee:eeee', mac: 'ee:ee:ee:ee:ee:ee' },
  ])
    await runIn(pod.netns, 'ip', 'neighbour', 'add', address, 'lladdr', mac, 'dev', 'eth0', 'nud', 'permanent')
  await runIn(pod.netns, 'ip', '-6', 'route', 'add', 'default', 'via', 'fe80::ecee:eeff:feee:eeee', 'dev', 'eth0')
  t.match(await pod.check(), { exitCode: 0 })
})

const FOREIGN: Readonly<Record<string, { readonly route: string; readonly end: string }>> = {
  'over another link': { route: `${ipv4}/32 dev other proto static`, end: `route delete ${ipv4}/32` },
  'over another link, which goes': { route: `${ipv4}/32 dev other proto static`, end: 'link delete other' },
  'over another link, which is set down': { route: `${ipv4}/32 dev other`, end: 'link set other down' },
  'over the pod’s own link': { route: `${ipv4}/32 dev ${hostLink} proto static`, end: `route delete ${ipv4}/32` },
  'into nothing': { route: `blackhole ${ipv4}/32`, end: `route delete blackhole ${ipv4}/32` },
  'that refuses': { route: `unreachable ${ipv4}/32`, end: `route delete unreachable ${ipv4}/32` },
  'of IPv6': { route: `${ipv6}/128 dev other proto static`, end: `-6 route delete ${ipv6}/128` },
}

for (const [what, { route, end }] of Object.entries(FOREIGN))
  t.test(
    `a route of another program in the place of ours, ${what}, stays, and status tells until it goes`,
    async (t) => {
      const address = route.includes(ipv6) ? ipv6 : ipv4
      const [family, prefixLength] = address === ipv6 ? ['-6', 128] : ['-4', 32]
      const routes = () => ipLines(undefined, family, 'route', 'show', 'exact', `${address}/${prefixLength}`)
      const before = await nodeState()
      await run('ip', 'link', 'add', 'other', 'type', 'dummy').catch(() =>
        run('ip', 'link', 'add', 'other', 'type', 'bridge'),
      )
      await run('ip', 'link', 'set', 'other', 'up')
      await run('ip', family, 'route', 'replace', ...route.split(' '))
      const foreign = await routes()
      t.equal(foreign.length, 1)
      await until('status tells', async () => (await problems()).length > 0, BOUND_MS)
      t.match(await problems(), [
        new RegExp(
          `^the route ${address}/\\d+ of container ${pod.containerId} is taken by another .*: look with ip route show`,
        ),
      ])
      t.strictSame(await routes(), foreign)
      await run('ip', ...end.split(' '))
      await until('ours is back', async () => (await routes()).some((line) => line.includes('proto 98')), BOUND_MS)
      await until('status is content', async () => (await problems()).length === 0, BOUND_MS)
      await run('ip', 'link', 'delete', 'other').catch(() => {})
      await isBack('all', before)
    },
  )

t.test('what somebody else adds stays', async (t) => {
  const bare = await nodeState()
  await run('ip', 'route', 'add', '198.51.100.1/32', 'dev', hostLink)
  await run('ip', 'address', 'add', '198.51.100.2/32', 'dev', hostLink)
  await run(
    'ip',
    'neighbour',
    'add',
    '198.51.100.3',
    'lladdr',
    '02:00:00:00:00:03',
    'dev',
    hostLink,
    'nud',
    'permanent',
  )
  const before = await nodeState()
  await run('ip', 'route', 'delete', `${ipv4}/32`)
  await run('ip', 'neighbour', 'delete', ipv6, 'dev', hostLink)
  await isBack('ours and theirs', before)
  await run('ip', 'neighbour', 'delete', '198.51.100.3', 'dev', hostLink)
  await run('ip', 'route', 'delete', '198.51.100.1/32')
  // With its last IPv4 address a link loses its IPv4 routes and neighbours (net/ipv4/fib_frontend.c, fib_disable_ip).
  await run('ip', 'address', 'delete', '198.51.100.2/32', 'dev', hostLink)
  await isBack('ours alone', bare)
  t.strictSame(await problems(), [])
})

t.test('the routes of 110 pods are back together', async (t) => {
  const pods: Pod[] = []
  for (let count = 0; count < 110; count += 10)
    pods.push(...(await Promise.all(Array.from({ length: 10 }, () => Pod.add()))))
  const before = await nodeState()
  const linesBefore = reports().length
  await run('ip', 'route', 'flush', 'proto', '98')
  await run('ip', '-6', 'route', 'flush', 'proto', '98')
  const flushedAtMs = performance.now()
  await isBack('all routes', before)
  t.comment(`seen to be back after ${Math.round(performance.now() - flushedAtMs)} ms`)
  const put = () => reports().slice(linesBefore)
  await until('it says so', () => put().reduce((sum, { count }) => sum + count, 0) === 222)
  t.ok(put().length <= 3, `in ${put().length} batches`)
  await Promise.all(pods.map((one) => one.del()))
  for (const one of pods) await one.vanish()
  await until(
    'the links are gone',
    async () => (await linkNames()).filter((name) => name.startsWith('brm')).length === 1,
  )
})

t.test(
  'while somebody flushes again and again, pods come and go, and nothing that a DEL took away comes back',
  async (t) => {
    const kept: Pod[] = []
    let isOver = false
    const flushing = (async () => {
      while (!isOver) {
        // Where a route goes meanwhile, because of a DEL, it fails.
        await capture('ip', ['route', 'flush', 'proto', '98'])
        await capture('ip', ['-6', 'route', 'flush', 'proto', '98'])
      }
    })()
    for (let round = 0; round < 10; round++) {
      const [stays, ...goes] = await Promise.all(Array.from({ length: 4 }, () => Pod.add()))
      if (stays) kept.push(stays)
      for (const { exitCode } of await Promise.all(goes.map((one) => one.del()))) t.equal(exitCode, 0)
      for (const one of goes) await one.vanish()
    }
    isOver = true
    await flushing
    const expected = [pod, ...kept].flatMap(({ addresses }) => addresses).sort()
    const routed = async () => {
      const lines = await Promise.all(
        ['-4', '-6'].map((family) => ipLines(undefined, family, 'route', 'show', 'proto', '98')),
      )
      return lines
        .flat()
        .map((line) => line.split(' ')[0] ?? '')
        .sort()
    }
    await until(
      'the routes are those of the pods that stay',
      async () => (await routed()).join() === expected.join(),
      BOUND_MS,
    )
    t.strictSame(await agent.ask('ipam check'), [])
    for (const one of [pod, ...kept]) t.match(await one.check(), { exitCode: 0 })
    for (const one of kept) {
      t.match(await one.del(), { exitCode: 0 })
      await one.vanish()
    }
    const links = [...kept.map((one) => one.hostLink)]
    await until('their links are gone', async () => !(await linkNames()).some((name) => links.includes(name)))
    t.strictSame(await routed(), [...pod.addresses].sort())
  },
)

t.test('a pod whose record cannot be read is left alone, and does not keep others from being repaired', async (t) => {
  const other = await Pod.add()
  await agent.stop()
  await run('ip', 'link', 'set', other.hostLink, 'alias', 'mine')
  agent = await Agent.start()
  const before = await nodeState()
  await run('ip', 'link', 'set', other.hostLink, 'group', '7')
  await run('ip', 'link', 'set', hostLink, 'group', '7')
  const { stdout } = await capture('ip', ['-oneline', 'link', 'show', 'dev', other.hostLink])
  t.match(stdout, /group 7 .*alias mine/)
  await run('ip', 'neighbour', 'delete', ipv4, 'dev', hostLink)
  await until(
    'the other pod’s group',
    async () => (await ipLines(undefined, 'link', 'show', 'dev', hostLink))[0]?.includes('group 7') === false,
    BOUND_MS,
  )
  await run('ip', 'link', 'set', other.hostLink, 'group', String(0x62726d01))
  await isBack('the readable pod', before)
  t.match(await other.del(), { exitCode: 0 })
  await other.vanish()
  await until('its link is gone', async () => !(await linkNames()).includes(other.hostLink))
})

t.test('what happened while no agent ran is put back by the next one', async (t) => {
  const before = await nodeState()
  await agent.stop()
  await run('ip', 'neighbour', 'delete', ipv4, 'dev', hostLink)
  await run('ip', 'link', 'set', hostLink, 'down')
  await setSysctl(undefined, `ipv4/conf/${hostLink}/rp_filter`, '0')
  agent = await Agent.start()
  await isBack('all', before)
  t.match(await pod.check(), { exitCode: 0 })
})

t.test('when all is over, nothing is left', async (t) => {
  t.match(await pod.del(), { exitCode: 0 })
  await pod.vanish()
  t.strictSame(await agent.ask('ipam check'), [])
  t.strictSame(await settled(BARE), BARE)
})

t.end()

async function problems(): Promise<readonly string[]> {
  return (await agent.ask('status')).problems
}

/** What the agent says that it has put back, batch by batch. */
function reports(): { readonly count: number }[] {
  const lines = agent.log.filter(({ msg }) => msg === 'somebody changed what pods have on the node; it is put back')
  return lines.map(({ put }) => put as { count: number })
}
