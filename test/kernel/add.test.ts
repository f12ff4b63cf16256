import t from 'tap'
import { CNI_VERSIONS, type CniVersion } from '../../plugin/network-config.ts'
import { Agent } from './agent.ts'
import { addUplink, ip, ipLines, link, NODE, pings, setSysctl, sysctl } from './node.ts'
import { call } from './plugin.ts'
import { Pod } from './pod.ts'
import { enterScratchNode, makeNetns, run } from './scratch.ts'

/** ADD: what the runtime hears, what the kernel holds then, and that the very first packet passes. */
const GATEWAY = { 4: '169.254.1.1', 6: 'fe80::ecee:eeff:feee:eeee' }
const HOST_MAC = 'ee:ee:ee:ee:ee:ee'
const STACKS = {
  'dual-stack': { podCidrs: ['10.42.0.0/24', 'fd42::/64'], families: [4, 6] },
  'IPv4-only': { podCidrs: ['10.42.0.0/24'], families: [4] },
  'IPv6-only': { podCidrs: ['fd42::/64'], families: [6] },
} as const

await enterScratchNode()
await addUplink()

for (const [stack, { podCidrs, families }] of Object.entries(STACKS))
  t.test(stack, async (t) => {
    const agent = await Agent.start({ podCidrs })
    t.after(() => agent.stop())
    const has = (family: 4 | 6) => (families as readonly number[]).includes(family)

    for (const cniVersion of CNI_VERSIONS)
      t.test(`a pod is wired when ADD of CNI ${cniVersion} returns`, async (t) => {
        const pod = await Pod.add({ config: { cniVersion } })
        const ips = families.map((family, index) => ({ family, address: pod.addresses[index] ?? '' }))
        t.strictSame(pod.result, expectedResult(cniVersion, pod, ips))

        t.match(await link(undefined, pod.hostLink), {
          ifname: /^brm[0-9a-f]{12}$/,
          mtu: 1500,
          address: HOST_MAC,
          operstate: 'UP',
          group: String(0x62726d01),
          ifalias: `bramble/1 ${pod.containerId} eth0 bramble ${pod.addresses} - -`,
          linkinfo: { info_kind: 'veth' },
        })
        t.match(await link(pod.netns, 'eth0'), { mtu: 1500, address: pod.mac, operstate: 'UP' })
        t.match(pod.mac, /^.[26ae]:/, 'the MAC is a local one, for one station')

        t.strictSame(await addressesOf(pod.netns, 'eth0'), [
          ...(has(4) ? [`${pod.addresses[0]}/32 global`] : []),
          ...(has(6) ? [`${pod.addresses.at(-1)}/128 global`, `${linkLocalOf(pod.mac)}/64 link`] : []),
        ])
        t.strictSame(await addressesOf(undefined, pod.hostLink), has(6) ? [`${GATEWAY[6]}/64 link`] : [])

        t.strictSame(
          await ipLines(pod.netns, '-4', 'route'),
          has(4) ? [`default via ${GATEWAY[4]} dev eth0`, `${GATEWAY[4]} dev eth0 scope link`] : [],
        )
        t.strictSame(
          await ipLines(pod.netns, '-6', 'route', 'show', 'default'),
          has(6) ? [`default via ${GATEWAY[6]} dev eth0 metric 1024 pref medium`] : [],
        )
        t.strictSame(await ipLines(undefined, '-4', 'route', 'show', 'proto', '98', 'dev', pod.hostLink), [
          ...(has(4) ? [`${pod.addresses[0]} scope link`] : []),
        ])
        t.strictSame(await ipLines(undefined, '-6', 'route', 'show', 'proto', '98', 'dev', pod.hostLink), [
          ...(has(6) ? [`${pod.addresses.at(-1)} metric 1024 pref medium`] : []),
        ])

        const permanent = (family: 4 | 6) => [
          'neighbour',
          'show',
          'nud',
          'permanent',
          'to',
          family === 4 ? '0/0' : '::/0',
        ]
        for (const { family, address } of ips) {
          t.strictSame(await ipLines(pod.netns, `-${family}`, ...permanent(family), 'dev', 'eth0'), [
            `${GATEWAY[family]} lladdr ${HOST_MAC} PERMANENT`,
          ])
          t.strictSame(await ipLines(undefined, `-${family}`, ...permanent(family), 'dev', pod.hostLink), [
            `${address} lladdr ${pod.mac} PERMANENT`,
          ])
        }

        const settings = {
          'ipv4/conf/LINK/rp_filter': '1',
          'ipv4/conf/LINK/forwarding': '1',
          'ipv4/conf/LINK/proxy_arp': '1',
          'ipv4/neigh/LINK/proxy_delay': '0',
          'ipv6/conf/LINK/accept_ra': '0',
          'ipv6/conf/LINK/forwarding': '1',
          'ipv6/conf/LINK/proxy_ndp': '1',
        }
        for (const [key, value] of Object.entries(settings))
          t.equal(await sysctl(undefined, key.replace('LINK', pod.hostLink)), value, key)
        t.equal(await sysctl(pod.netns, 'ipv6/conf/eth0/accept_ra'), '0')
        t.equal(await sysctl(pod.netns, 'ipv6/conf/eth0/forwarding'), '0')

        if (cniVersion !== '0.3.1') t.strictSame(await pod.check(), { exitCode: 0, json: undefined, stderr: '' })
        t.match(await pod.del(), { exitCode: 0 })
      })

    t.test('the very first packet passes between pods, and between a pod and its node', async (t) => {
      for (const [index, family] of families.entries()) {
        const [from, to] = await Promise.all([Pod.add(), Pod.add()])
        t.ok(await pings(from.netns, to.addresses[index] ?? ''), `IPv${family}, pod to pod`)
        t.ok(await pings((await Pod.add()).netns, NODE[family]), `IPv${family}, pod to node`)
        t.ok(await pings(undefined, (await Pod.add()).addresses[index] ?? ''), `IPv${family}, node to pod`)
      }
    })

    t.test('leases and kernel agree', async (t) => t.strictSame(await agent.ask('ipam check'), []))
  })

t.test('an interface', async (t) => {
  const agent = await Agent.start()
  t.after(() => agent.stop())

  t.test('may have another name than eth0', async (t) => {
    const pod = await Pod.add({ ifname: 'uplink.100' })
    t.match(pod.result.interfaces[1], { name: 'uplink.100', sandbox: pod.netns })
    t.same(await addressesOf(pod.netns, 'uplink.100'), [
      `${pod.addresses[0]}/32 global`,
      `${pod.addresses[1]}/128 global`,
      `${linkLocalOf(pod.mac)}/64 link`,
    ])
    for (const address of pod.addresses) t.ok(await pings(undefined, address))
    for (const address of Object.values(NODE)) t.ok(await pings(pod.netns, address))
    t.match(await pod.check(), { exitCode: 0 })
    t.match(await pod.del(), { exitCode: 0 })
  })

  t.test('has the same MAC whenever its container gets it', async (t) => {
    const first = await Pod.add()
    await first.del()
    const again = await call('ADD', { containerId: first.containerId, netns: first.netns })
    t.equal(again.json.interfaces[1].mac, first.mac)
  })

  t.test('works in a pod and on a node whose new links have no IPv6', async (t) => {
    const netns = await makeNetns('without-ipv6')
    for (const where of [netns, undefined]) await setSysctl(where, 'ipv6/conf/default/disable_ipv6', '1')
    await setSysctl(netns, 'ipv6/conf/all/disable_ipv6', '1')
    t.after(() => setSysctl(undefined, 'ipv6/conf/default/disable_ipv6', '0'))
    const pod = await Pod.add({ netns })
    t.ok(await pings(undefined, pod.addresses[1] ?? ''))
    t.match(await pod.check(), { exitCode: 0 })
  })

  t.test('carries the name of its pod in its record and in the listing', async (t) => {
    const args = 'IgnoreUnknown=1;K8S_POD_NAME=web;K8S_POD_UID=u;K8S_POD_NAMESPACE=shop'
    const pod = await Pod.add({ args })
    t.match((await link(undefined, pod.hostLink)).ifalias, / shop\/web$/)
    const rows = await agent.ask('pods')
    t.equal(rows.find(({ containerId }) => containerId === pod.containerId)?.pod, 'shop/web')
  })

  t.test('that leaves a bridge on the node keeps its addresses', async (t) => {
    const pod = await Pod.add()
    await run('ip', 'link', 'add', 'bridge', 'type', 'bridge')
    await run('ip', 'link', 'set', pod.hostLink, 'master', 'bridge')
    await run('ip', 'link', 'set', pod.hostLink, 'nomaster')
    t.match(await pod.check(), { exitCode: 0 })
    t.strictSame(await agent.ask('ipam check'), [])
  })
})

function expectedResult(
  cniVersion: CniVersion,
  pod: Pod,
  ips: readonly { readonly family: 4 | 6; readonly address: string }[],
): object {
  const mtu = cniVersion === '1.1.0' ? { mtu: 1500 } : {}
  const isOld = cniVersion === '0.3.1' || cniVersion === '0.4.0'
  return {
    cniVersion,
    interfaces: [
      { name: pod.hostLink, mac: HOST_MAC, ...mtu },
      { name: 'eth0', mac: pod.mac, ...mtu, sandbox: pod.netns },
    ],
    ips: ips.map(({ family, address }) => ({
      ...(isOld && { version: String(family) }),
      address: `${address}/${family === 4 ? 32 : 128}`,
      gateway: GATEWAY[family],
      interface: 1,
    })),
    routes: ips.map(({ family }) => ({ dst: family === 4 ? '0.0.0.0/0' : '::/0', gw: GATEWAY[family] })),
  }
}

/** With their scope; one that waits for duplicate address detection says so. */
async function addressesOf(netns: string | undefined, name: string): Promise<string[]> {
  const [shown] = await ip(netns, 'address', 'show', 'dev', name)
  return shown.addr_info.map(
    ({
      local,
      prefixlen,
      scope,
      tentative,
    }: {
      local: string
      prefixlen: number
      scope: string
      tentative?: boolean
    }) => `${local}/${prefixlen} ${scope}${tentative ? ' tentative' : ''}`,
  )
}

/** EUI-64, as RFC 4291 has it, by another way than the product's. */
function linkLocalOf(mac: string): string {
  const [first = '', ...rest] = mac.split(':')
  const bytes = [(Number.parseInt(first, 16) ^ 2).toString(16).padStart(2, '0'), ...rest]
  const [a, b, c, d, e, f] = bytes
  return new URL(`http://[fe80::${a}${b}:${c}ff:fe${d}:${e}${f}]`).hostname.slice(1, -1)
}
