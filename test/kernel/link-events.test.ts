import t from 'tap'
import { Agent, until } from './agent.ts'
import { addUplink, ipLines, link, linkNames, pings, runIn } from './node.ts'
import { call } from './plugin.ts'
import { Pod } from './pod.ts'
import { enterScratchNode, makeNetns, run } from './scratch.ts'

/** Links that go or are in the way without anybody calling the plugin. */

await enterScratchNode()
await addUplink()
const agent = await Agent.start()
t.after(() => agent.stop())

const ENDS: Record<string, (pod: Pod) => Promise<unknown>> = {
  'its namespace is deleted': (pod) => pod.vanish(),
  'its link is deleted on the node': (pod) => run('ip', 'link', 'delete', pod.hostLink),
  'its link is deleted in the pod': (pod) => runIn(pod.netns, 'ip', 'link', 'delete', 'eth0'),
}

for (const [what, end] of Object.entries(ENDS))
  t.test(`the addresses of a pod are free when ${what}`, async (t) => {
    const [pod, other] = await Promise.all([Pod.add(), Pod.add()])
    await end(pod)
    await until('the link is gone', async () => !(await linkNames()).includes(pod.hostLink))
    await until('the addresses are free', async () => (await holders(pod)).length === 0)
    t.strictSame(await agent.ask('ipam check'), [])
    await until('the log says so', () =>
      agent.log.some(
        ({ containerId, msg }) =>
          containerId === pod.containerId &&
          msg === 'the link of a pod is gone without a DEL; its addresses are free again',
      ),
    )
    t.match(await other.check(), { exitCode: 0 })
    t.match(await pod.del(), { exitCode: 0 }, 'a late DEL succeeds')
    if (what !== 'its namespace is deleted')
      t.match(
        await call('ADD', { containerId: pod.containerId, netns: pod.netns }),
        { exitCode: 0 },
        'so does a new ADD',
      )
  })

t.test('fifty namespaces that are deleted at once free all their addresses', async (t) => {
  const before = (await agent.ask('pods')).length
  const pods = await Promise.all(Array.from({ length: 50 }, () => Pod.add()))
  await Promise.all(pods.map((pod) => pod.vanish()))
  await until('the links are gone', async () => {
    const names = await linkNames()
    return !pods.some((pod) => names.includes(pod.hostLink))
  })
  await until('the addresses are free', async () => (await agent.ask('pods')).length === before)
  t.strictSame(await agent.ask('ipam check'), [])
})

t.test('changes to a link that lives free nothing', async (t) => {
  const pod = await Pod.add()
  const changes = [
    ['link', 'set', pod.hostLink, 'down'],
    ['link', 'set', pod.hostLink, 'up'],
    ['link', 'set', pod.hostLink, 'mtu', '1400'],
    ['link', 'add', 'bridge', 'type', 'bridge'],
    ['link', 'set', pod.hostLink, 'master', 'bridge'],
    ['link', 'set', pod.hostLink, 'nomaster'],
    ['link', 'delete', 'bridge'],
  ]
  for (const args of changes) await run('ip', ...args)
  t.strictSame(
    (await holders(pod)).map(({ addresses }) => addresses),
    [pod.addresses],
  )
  t.match(await pod.del(), { exitCode: 0 })
})

t.test(
  'hard case 14: our host link name exists already: ADD is an error that names it, and leaves it untouched',
  async (t) => {
    const model = await Pod.add()
    const { containerId, hostLink, netns } = model
    t.match(await model.del(), { exitCode: 0 })
    await until('its link is gone', async () => !(await linkNames()).includes(hostLink))
    await run('ip', 'link', 'add', hostLink, 'type', 'bridge')
    const before = await link(undefined, hostLink)
    t.match(await call('ADD', { containerId, netns }), {
      exitCode: 1,
      json: {
        code: 101,
        msg: `a link ${hostLink} that is not ours exists on the node`,
        details: `remove or rename it: ip link set ${hostLink} name OTHER`,
      },
    })
    t.match(await call('DEL', { containerId, netns }), { exitCode: 0 })
    t.strictSame(await link(undefined, hostLink), before)
    t.strictSame(await linkNames(netns), ['lo'], 'nothing half made')
    t.strictSame(await agent.ask('ipam check'), [])

    await run('ip', 'link', 'set', hostLink, 'name', 'other')
    t.match(await call('ADD', { containerId, netns }), { exitCode: 0 }, 'the remedy helps')
    await run('ip', 'link', 'delete', 'other')
  },
)

for (const [family, prefixLength] of [
  [4, 32],
  [6, 128],
] as const)
  t.test(
    `hard case 14: the /${prefixLength} route exists already on another device: an error, and it stays`,
    async (t) => {
      const address = nextAddress((await Pod.add()).addresses[family === 4 ? 0 : 1] ?? '')
      const foreign = [`-${family}`, 'route', 'add', `${address}/${prefixLength}`, 'dev', 'uplink']
      await run('ip', ...foreign)
      const netns = await makeNetns(`in-the-way-${family}`)
      const before = await ipLines(undefined, `-${family}`, 'route', 'show', `${address}/${prefixLength}`)
      const { exitCode, json } = await call('ADD', { containerId: `in-the-way-${family}`, netns })
      t.equal(exitCode, 1)
      t.match(json, {
        code: 100,
        msg: `route add ${address}/${prefixLength}`,
        details: /another program has made the same: .*ip route show/,
      })
      t.strictSame(await ipLines(undefined, `-${family}`, 'route', 'show', `${address}/${prefixLength}`), before)
      t.strictSame(await linkNames(netns), ['lo'], 'nothing half made')
      t.strictSame(await agent.ask('ipam check'), [])

      const { json: result } = await call('ADD', { containerId: `in-the-way-${family}`, netns })
      t.notMatch(JSON.stringify(result.ips), `"${address}/`, 'the next try takes another address')
      await run('ip', `-${family}`, 'route', 'delete', `${address}/${prefixLength}`, 'dev', 'uplink')
    },
  )

t.test('a pod that is reached in spite of a host route with a worse metric is not disturbed', async (t) => {
  const pod = await Pod.add()
  await run('ip', 'route', 'add', `${pod.addresses[0]}/32`, 'dev', 'uplink', 'metric', '500')
  t.ok(await pings(undefined, pod.addresses[0] ?? ''))
  t.match(await pod.check(), { exitCode: 0 })
  t.match(await pod.del(), { exitCode: 0 })
  t.match(await ipLines(undefined, 'route', 'show', `${pod.addresses[0]}/32`), [/ dev uplink .*metric 500/], 'it stays')
})

t.end()

async function holders({ containerId }: Pod) {
  return (await agent.ask('pods')).filter((row) => row.containerId === containerId)
}

/** What the pool gives next; for the small numbers of a test. */
function nextAddress(address: string): string {
  const [, head = '', last = ''] = /^(.*[.:])([0-9a-f]+)$/.exec(address) ?? []
  const radix = address.includes(':') ? 16 : 10
  return head + (Number.parseInt(last, radix) + 1).toString(radix)
}
