import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import t from 'tap'
import { linkLocalOf } from '../../agent/kernel/mac.ts'
import { GATEWAY, HOST_MAC } from '../../agent/pods/attachment.ts'
import { familyOf } from '../../ipam/address.ts'
import { Agent, until } from './agent.ts'
import { announceNode } from './cluster.ts'
import {
  arpReply,
  frame,
  ipPacket,
  MARK_DSCP,
  neighbourPacket,
  PROTOCOL,
  redirect,
  taggedFrame,
  udp,
  udpPacket,
  vxlanPacket,
} from './forged-packet.ts'
import { addUplink, ip, link, NODE, pings, setSysctl } from './node.ts'
import { routerAdvertisement, sendFrame } from './packet.ts'
import { Pod } from './pod.ts'
import { enterScratchNode, run } from './scratch.ts'

/*
 * Hard case 17. A pod has CAP_NET_RAW, as every container has by default, and sends what it likes: nothing that it forges
 * gets to another pod, to the node or onto the uplink, and what is its own does. That each of these packets would get
 * there without the rules is shown, too, so that none is stopped by chance.
 */
await enterScratchNode()
await addUplink()
/** So that there is a tunnel to be abused: a peer that is not on the LAN. */
const PEER = { address: '203.0.113.2', pod: { 4: '10.42.1.7', 6: 'fd42:0:0:1::7' } } as const
mkdirSync('/run/cluster')
announceNode('n1', NODE[4], ['10.42.0.0/24', 'fd42::/64'])
announceNode('n2', PEER.address, ['10.42.1.0/24', 'fd42:0:0:1::/64'])
const agent = await Agent.start({ args: ['--cluster-dir', '/run/cluster'] })
const [liar, victim] = [await Pod.add(), await Pod.add()]
await until('there is a tunnel', async () => (await ip(undefined, 'link', 'show', 'type', 'vxlan')).length > 0)
const tunnelMac: string = (await link(undefined, 'bramble.vxlan')).address
// What holds is in the kernel; and nobody repairs what is taken away below.
await agent.stop()

await run(
  'nft',
  `
  table inet probe {
    counter reached { }
    chain node {
      type filter hook input priority 300
      ip dscp ${MARK_DSCP} counter name reached
      ip6 dscp ${MARK_DSCP} counter name reached
    }
    chain others {
      type filter hook postrouting priority 300
      ip dscp ${MARK_DSCP} counter name reached
      ip6 dscp ${MARK_DSCP} counter name reached
    }
  }`,
)

const OUTSIDE = { 4: '198.51.100.9', 6: '2001:db8:9::9' } as const
const LAN_ROUTER = { 4: '192.0.2.254', 6: '2001:db8::254' } as const
const own = { 4: liar.addresses[0] ?? '', 6: liar.addresses[1] ?? '' } as const
const other = { 4: victim.addresses[0] ?? '', 6: victim.addresses[1] ?? '' } as const
const TARGETS = { 'another pod': other, 'the node': NODE, 'the outside': OUTSIDE } as const
const PORT = { any: 4242, vxlan: 4789, wireguard: 51820 } as const
const VNI = 4096
/** Whoever may make Services says where they lead. */
const SERVICE = { vxlan: '10.96.0.1', wireguard: '10.96.0.2', here: '10.96.0.3' } as const
await run(
  'nft',
  `
  table ip services {
    chain prerouting {
      type nat hook prerouting priority dstnat
      ip daddr ${SERVICE.vxlan} udp dport ${PORT.any} dnat to ${PEER.address}:${PORT.vxlan}
      ip daddr ${SERVICE.wireguard} udp dport ${PORT.any} dnat to ${PEER.address}:${PORT.wireguard}
      ip daddr ${SERVICE.here} udp dport ${PORT.any} dnat to ${NODE[4]}:${PORT.vxlan}
    }
  }`,
)
const index: number = (await ip(liar.netns, 'link', 'show', 'dev', 'eth0'))[0].ifindex

interface Attack {
  readonly name: string
  readonly frames: readonly Buffer[]
  readonly counter: 'spoofed' | 'tunnelled'
  /** The kernel forwards none of these in any case: an address of its own, or nobody's. */
  readonly isKernelsToo?: boolean
}

const send = (frames: readonly Buffer[]) => {
  for (const one of frames) sendFrame(liar.netns, index, one)
}
const toNode = (packet: Buffer) => frame(HOST_MAC, liar.mac, packet)

const FOREIGN: readonly (readonly [string, 4 | 6, string, boolean?])[] = [
  ['of another pod', 4, other[4]],
  ['of another pod', 6, other[6]],
  ['of a pod on another node', 4, PEER.pod[4]],
  ['of a pod on another node', 6, PEER.pod[6]],
  ['of the LAN’s router', 4, LAN_ROUTER[4]],
  ['of the LAN’s router', 6, LAN_ROUTER[6]],
  ['of the outside', 4, '8.8.8.8'],
  ['of the outside', 6, '2001:db8:bad::1'],
  ['that nobody has', 4, '10.42.0.250', true],
  ['that nobody has', 6, 'fd42::250'],
  ['of the node', 4, NODE[4], true],
  ['of the node', 6, NODE[6]],
  ['of the pods’ gateway', 4, GATEWAY[4]],
  ['of nobody at all', 4, '0.0.0.0', true],
  ['of the loopback', 4, '127.0.0.1', true],
]

const spoofed: Attack[] = FOREIGN.flatMap(([whose, family, source, isKernelsToo]) =>
  Object.entries(TARGETS).map(([who, target]) => ({
    name: `IPv${family}: an address ${whose} (${source}), to ${who}`,
    frames: [toNode(udpPacket(source, target[family], PORT.any))],
    counter: 'spoofed' as const,
    ...(isKernelsToo && { isKernelsToo }),
  })),
)

const disguised: Attack[] = ([4, 6] as const).flatMap((family) => [
  ...[victim.mac, '02:00:00:00:be:ef', HOST_MAC].map((mac) => ({
    name: `IPv${family}: its own address with the MAC ${mac}`,
    frames: [frame(HOST_MAC, mac, udpPacket(own[family], other[family], PORT.any))],
    counter: 'spoofed' as const,
  })),
  {
    name: `IPv${family}: a foreign address behind a tag of VLAN 0`,
    frames: [taggedFrame(HOST_MAC, liar.mac, 0, udpPacket(other[family], NODE[family], PORT.any))],
    counter: 'spoofed' as const,
  },
])

/** A frame from another node's pod to the victim, for the node's end of the tunnel. */
const inner = (family: 4 | 6) =>
  frame(tunnelMac, '66:00:00:00:00:02', udpPacket(PEER.pod[family], other[family], PORT.any))
const fragmented = udp(own[4], NODE[4], PORT.vxlan, Buffer.alloc(64))

const tunnelled: Attack[] = [
  ...([4, 6] as const).flatMap((family) => [
    {
      name: `VXLAN to the node, with an IPv${family} packet for another pod`,
      frames: [toNode(vxlanPacket(own[4], NODE[4], PORT.vxlan, VNI, inner(family)))],
      counter: 'tunnelled' as const,
    },
    ...Object.entries({
      'the node': NODE[family],
      'another node': PEER.address,
      'an address of which nobody knows that a node has it': OUTSIDE[family],
    })
      .filter(([, target]) => familyOf(target) === family)
      .map(([who, target]) => ({
        name: `IPv${family}: the port of vxlan, to ${who}`,
        frames: [toNode(udpPacket(own[family], target, PORT.vxlan))],
        counter: 'tunnelled' as const,
      })),
    ...Object.entries({ 'the node': NODE[family], ...(family === 4 && { 'another node': PEER.address }) }).flatMap(
      ([who, target]) => [
        {
          name: `IPv${family}: the port of wireguard, to ${who}`,
          frames: [toNode(udpPacket(own[family], target, PORT.wireguard))],
          counter: 'tunnelled' as const,
        },
        ...(['IPIP', 'IPV6', 'GRE'] as const).map((kind) => ({
          name: `IPv${family}: protocol ${kind}, to ${who}`,
          frames: [
            toNode(
              ipPacket({
                from: own[family],
                to: target,
                protocol: PROTOCOL[kind],
                payload: udpPacket(PEER.pod[4], other[4], PORT.any),
              }),
            ),
          ],
          counter: 'tunnelled' as const,
        })),
      ],
    ),
  ]),
  ...(['vxlan', 'wireguard'] as const).map((kind) => ({
    name: `the port of ${kind} of another node, by a Service`,
    frames: [toNode(udpPacket(own[4], SERVICE[kind], PORT.any))],
    counter: 'tunnelled' as const,
  })),
  {
    name: 'the port of vxlan of the node, by a Service',
    frames: [toNode(vxlanPacket(own[4], SERVICE.here, PORT.any, VNI, inner(4)))],
    counter: 'tunnelled',
  },
  {
    name: 'the port of vxlan in fragments',
    frames: [
      { payload: fragmented.subarray(0, 8), fragment: { offset: 0, hasMore: true } },
      { payload: fragmented.subarray(8), fragment: { offset: 1, hasMore: false } },
    ].map((part) => toNode(ipPacket({ from: own[4], to: NODE[4], protocol: PROTOCOL.UDP, ...part }))),
    counter: 'tunnelled',
  },
  {
    name: 'the port of vxlan behind options of IPv6',
    frames: [
      toNode(
        ipPacket({
          from: own[6],
          to: NODE[6],
          protocol: PROTOCOL.UDP,
          payload: udp(own[6], NODE[6], PORT.vxlan),
          hasOptions: true,
        }),
      ),
    ],
    counter: 'tunnelled',
  },
]

const ATTACKS = [...spoofed, ...disguised, ...tunnelled]
const OWN = ([4, 6] as const).flatMap((family) =>
  Object.entries(TARGETS).map(([who, target]) => ({
    name: `IPv${family}, to ${who}`,
    frames: [toNode(udpPacket(own[family], target[family], PORT.any))],
  })),
)

t.test('a pod may speak to the port of WireGuard elsewhere: it may have a VPN of its own', async (t) => {
  for (const family of [4, 6] as const) {
    const before = await packets('reached')
    send([toNode(udpPacket(own[family], OUTSIDE[family], PORT.wireguard))])
    await until(`IPv${family}`, async () => (await packets('reached')) > before)
  }
  t.equal(await packets('tunnelled'), 0)
})

t.test('what is a pod’s own gets to other pods, to the node and to the outside', async (t) => {
  for (const { name, frames } of OWN) {
    const before = await packets('reached')
    send(frames)
    await until(name, async () => (await packets('reached')) > before)
  }
  t.ok(await pings(liar.netns, other[4]))
  t.ok(await pings(liar.netns, other[6]))
  t.equal((await packets('spoofed')) + (await packets('tunnelled')), 0, 'nothing was dropped so far')
})

for (const { name, frames, counter } of ATTACKS)
  t.test(`dropped: ${name}`, async (t) => {
    const before = await counters()
    send(frames)
    await until('it is dropped', async () => (await packets(counter)) > (before[counter] ?? 0))
    t.same(await counters(), { ...before, [counter]: (before[counter] ?? 0) + 1 })
  })

t.test(
  'addresses that the rules let pass, since neighbours speak with them, lead to no pod and not outside',
  async (t) => {
    for (const source of [linkLocalOf(liar.mac), linkLocalOf(victim.mac), 'fe80::bad', '::', '::1']) {
      const before = await packets('reached')
      send([other[6], PEER.pod[6], OUTSIDE[6]].map((target) => toNode(udpPacket(source, target, PORT.any))))
      await passed()
      t.equal(await packets('reached'), before + 1, `${source}; the one is what was waited for`)
    }
  },
)

t.test('a pod that claims the addresses of others gets nothing of theirs', async (t) => {
  const before = await foreignNeighbours()
  const claims = [other[4], NODE[4], LAN_ROUTER[4], GATEWAY[4], PEER.address]
  send(claims.map((address) => arpReply(liar.mac, address, NODE[4])))
  for (const target of [other[6], NODE[6], LAN_ROUTER[6], GATEWAY[6]])
    for (const [from, to] of [
      [linkLocalOf(liar.mac), 'ff02::1'],
      [linkLocalOf(liar.mac), GATEWAY[6]],
      [target, GATEWAY[6]],
    ] as const)
      send([toNode(neighbourPacket('advertisement', { from, to, target, mac: liar.mac }))])
  await passed()
  t.same(await foreignNeighbours(), before)
  for (const address of victim.addresses) t.ok(await pings(undefined, address), address)
})

t.test('a pod fills the node’s table of neighbours with nobody', async (t) => {
  const count = async () => (await ip(undefined, '-6', 'neighbour', 'show', 'dev', liar.hostLink)).length
  const before = await count()
  const [to, target, { mac }] = [GATEWAY[6], GATEWAY[6], liar]
  for (let number = 1; number <= 50; number++) {
    const from = `fe80::bad:${number.toString(16)}`
    send([toNode(neighbourPacket('solicitation', { from, to, target, mac }))])
  }
  await passed()
  t.ok((await count()) <= before + 1, 'at most itself')
})

t.test('a pod that says it is a router, or knows a better way, changes no route and no address', async (t) => {
  const state = async () =>
    JSON.stringify(
      await Promise.all([ip(undefined, '-6', 'route', 'show', 'table', 'all'), ip(undefined, '-6', 'address')]),
    )
  const before = withoutLifetimes(await state())
  const linkLocal = linkLocalOf(liar.mac)
  send([
    routerAdvertisement(liar.mac, linkLocal),
    ...[OUTSIDE[6], other[6], PEER.pod[6]].map((target) => toNode(redirect(linkLocal, GATEWAY[6], target))),
    ...[OUTSIDE[6], other[6], PEER.pod[6]].map((target) => toNode(redirect(linkLocal, NODE[6], target))),
  ])
  await passed()
  t.equal(withoutLifetimes(await state()), before)
})

t.test('a program of the node that calls from the port of WireGuard, as any program may, is answered', async (t) => {
  const caller = createSocket('udp4').bind(PORT.wireguard, NODE[4])
  t.teardown(() => caller.close())
  await once(caller, 'listening')
  const before = await packets('tunnelled')
  let isAnswered = false
  caller.once('message', () => {
    isAnswered = true
  })
  await new Promise((resolve) => caller.send('who is there?', PORT.any, own[4], resolve))
  await until('it is answered', async () => {
    send([toNode(udpPacket(own[4], NODE[4], PORT.wireguard))]) // from PORT.any, as all of them
    return isAnswered
  })
  t.equal(await packets('tunnelled'), before)
})

t.test('without the rules, all of these would get through', async (t) => {
  for (const chain of ['from-pods', 'input', 'forward'])
    await run('nft', 'flush', 'chain', 'inet', 'bramble-policy', chain)
  await setSysctl(undefined, `ipv4/conf/${liar.hostLink}/rp_filter`, '0')
  await setSysctl(undefined, `ipv4/conf/all/rp_filter`, '0')
  for (const { name, frames } of ATTACKS.filter(({ isKernelsToo }) => !isKernelsToo)) {
    const before = await packets('reached')
    send(frames)
    await until(name, async () => (await packets('reached')) > before)
    t.pass(name)
  }
})

const withoutLifetimes = (json: string) => json.replace(/"(\w+_life_time|expires)":\d+/g, '')

/** What was sent before is done with: packets of one link do not overtake each other. */
async function passed(): Promise<void> {
  const before = await packets('reached')
  send([toNode(udpPacket(own[4], NODE[4], PORT.any))])
  await until('the last packet is there', async () => (await packets('reached')) > before)
}

async function counters(): Promise<Record<string, number>> {
  const listed: { nftables: { counter?: { name: string; packets: number } }[] } = JSON.parse(
    await run('nft', '-j', 'list', 'counters'),
  )
  return Object.fromEntries(
    listed.nftables.flatMap(({ counter }) => (counter ? [[counter.name, counter.packets]] : [])),
  )
}

async function packets(name: string): Promise<number> {
  const count = (await counters())[name]
  if (count === undefined) throw new Error(`no counter ${name}`)
  return count
}

/** Those on other links than the liar's. */
async function foreignNeighbours(): Promise<string[]> {
  const all: { dev: string; dst: string; lladdr?: string }[] = await ip(undefined, 'neighbour', 'show', 'nud', 'all')
  return all
    .filter(({ dev, lladdr }) => dev !== liar.hostLink && lladdr !== undefined)
    .map(({ dev, dst, lladdr }) => `${dst} dev ${dev} lladdr ${lladdr}`)
    .sort()
}
