import t from 'tap'
import { addAddress } from '../../../agent/kernel/addresses.ts'
import { KernelError } from '../../../agent/kernel/errors.ts'
import { findFamily } from '../../../agent/kernel/generic-netlink.ts'
import { getLink, parseLink, setLinkUp } from '../../../agent/kernel/links.ts'
import { Netlink } from '../../../agent/kernel/netlink.ts'
import { NETLINK_PROTOCOL } from '../../../agent/kernel/netlink-socket.ts'
import { addRoute, RT_TABLE_MAIN } from '../../../agent/kernel/routes.ts'
import {
  addWireguardLink,
  getWireguard,
  parseWireguard,
  putWireguardPeer,
  removeWireguardPeer,
  setWireguard,
  WIREGUARD_FAMILY,
  type WireguardPeer,
} from '../../../agent/kernel/wireguard.ts'
import { makePrivateKey, publicKeyOf } from '../../../agent/wireguard-key.ts'
import { enterScratchNode, run } from '../scratch.ts'
import { failsToPing, inside, type Machine, makeLan, plugIn, podAddress, podCidr } from './underlay.ts'

/*
 * WireGuard links that our requests make and set, between two machines on one LAN and one on another. For the virtual
 * machine of `make test-vm`: a kernel without WireGuard is a failure.
 */
await enterScratchNode()
await makeLan(1)
await makeLan(2)
const NAME = 'bramble.wg'
const PORT = 51820
const MANY = 5_000

/** A machine with a link, and the sockets of its namespace. */
async function setUp(machine: Machine) {
  const netlink = inside(machine, () => new Netlink())
  const generic = inside(machine, () => new Netlink(NETLINK_PROTOCOL.generic))
  const [, [message] = []] = await netlink.send([addWireguardLink({ name: NAME, mtuBytes: 1440 }), getLink(NAME)])
  if (!message) throw new Error(`no link ${NAME}`)
  const { index, kind, mtuBytes } = parseLink(message)
  const target = { family: await findFamily(generic, WIREGUARD_FAMILY), linkIndex: index }
  const privateKey = makePrivateKey()
  const list = async () => parseWireguard(await generic.dump(getWireguard(target)))
  return { machine, netlink, generic, target, kind, mtuBytes, privateKey, publicKey: publicKeyOf(privateKey), list }
}

const nodes = [
  await setUp(await plugIn(1, 1)),
  await setUp(await plugIn(2, 1)),
  await setUp(await plugIn(3, 2)),
] as const
type Node = (typeof nodes)[number]
const [one, two, three] = nodes
const othersThan = (node: Node) => nodes.filter((other) => other !== node)
const wg = (node: Node, what: string) => run('ip', 'netns', 'exec', node.machine.name, 'wg', 'show', NAME, what)

const peerOf = ({ publicKey, machine }: Node): WireguardPeer => ({
  publicKey,
  endpoint: { address: machine.address, port: PORT },
  allowedIps: [podCidr(machine, 4), podCidr(machine, 6)],
  keepaliveSeconds: 25,
})

t.test('a new link has no key and no peers', async (t) => {
  t.match(one, { kind: 'wireguard', mtuBytes: 1440 })
  t.strictSame(await one.list(), { listenPort: 0, firewallMark: 0, peers: [] })
})

t.test('key, port and peers are as they were set, and as wg shows them', async (t) => {
  for (const node of nodes) {
    const { generic, target, privateKey, publicKey, list } = node
    await generic.send([
      setWireguard(target, { privateKey, listenPort: PORT }),
      ...othersThan(node).map((other) => putWireguardPeer(target, peerOf(other))),
    ])
    t.equal((await wg(node, 'public-key')).trim(), publicKey)
    t.equal((await wg(node, 'private-key')).trim(), privateKey)
    t.equal((await wg(node, 'listen-port')).trim(), String(PORT))
    const shown = (await wg(node, 'dump')).trim().split('\n').slice(1)
    const expected = othersThan(node).map((other) => {
      const { publicKey, allowedIps } = peerOf(other)
      return [publicKey, '(none)', `${other.machine.address}:${PORT}`, allowedIps.join(), 0, 0, 0, 25].join('\t')
    })
    t.same(new Set(shown), new Set(expected))
    const device = await list()
    t.match(device, { publicKey, listenPort: PORT })
    for (const other of othersThan(node))
      t.strictSame(
        device.peers.find(({ publicKey }) => publicKey === other.publicKey),
        {
          ...peerOf(other),
          rxBytes: 0n,
          txBytes: 0n,
        },
      )
  }
})

t.test('packets pass between all, of either family, as large as the link takes', async (t) => {
  for (const node of nodes) {
    const { netlink, target, machine } = node
    await netlink.send([
      setLinkUp(target.linkIndex),
      addAddress(target.linkIndex, { address: podAddress(machine, 4), prefixLength: 32 }),
      addAddress(target.linkIndex, { address: podAddress(machine, 6), prefixLength: 128 }),
      ...othersThan(node).flatMap((other) =>
        ([4, 6] as const).map((family) =>
          addRoute(target.linkIndex, {
            destination: podCidr(other.machine, family),
            table: RT_TABLE_MAIN,
            metric: 0,
            protocol: 97,
          }),
        ),
      ),
    ])
  }
  for (const from of nodes)
    for (const to of othersThan(from))
      for (const family of [4, 6] as const)
        for (const bytes of [100, 1440])
          t.equal(await failsToPing(from.machine, podAddress(to.machine, family), bytes), undefined)
})

t.test('a handshake and what was carried are told', async (t) => {
  for (const { lastHandshakeMs = 0, rxBytes, txBytes } of (await one.list()).peers) {
    t.ok(Math.abs(Date.now() - lastHandshakeMs) < 300_000, 'not long ago')
    t.ok(rxBytes > 2_000n && txBytes > 2_000n)
  }
})

t.test('a peer is put again with other addresses: it has these and no others, and its session lives on', async (t) => {
  const before = (await one.list()).peers.find(({ publicKey }) => publicKey === two.publicKey)
  await one.generic.send([
    putWireguardPeer(one.target, { ...peerOf(two), allowedIps: ['10.42.2.0/24'], keepaliveSeconds: 0 }),
  ])
  const after = (await one.list()).peers.find(({ publicKey }) => publicKey === two.publicKey)
  t.match(after, { allowedIps: ['10.42.2.0/24'], keepaliveSeconds: 0, lastHandshakeMs: before?.lastHandshakeMs ?? -1 })
  t.equal(await failsToPing(one.machine, podAddress(two.machine, 4), 100), undefined)
  t.match(await failsToPing(one.machine, podAddress(two.machine, 6), 100), 'Required key not available')
})

t.test('addresses go to the peer that gets them last, as where a node was made anew with another key', async (t) => {
  const anew = publicKeyOf(makePrivateKey())
  await one.generic.send([putWireguardPeer(one.target, { ...peerOf(three), publicKey: anew })])
  const { peers } = await one.list()
  t.same(peers.find(({ publicKey }) => publicKey === three.publicKey)?.allowedIps, [])
  t.equal(peers.find(({ publicKey }) => publicKey === anew)?.allowedIps.length, 2)
  await one.generic.send([removeWireguardPeer(one.target, anew), putWireguardPeer(one.target, peerOf(three))])
  t.equal(await failsToPing(one.machine, podAddress(three.machine, 4), 100), undefined)
})

t.test('a removed peer is gone, and nothing passes; removed again is no error', async (t) => {
  await one.generic.send([removeWireguardPeer(one.target, two.publicKey)])
  await one.generic.send([removeWireguardPeer(one.target, two.publicKey)])
  t.same(
    (await one.list()).peers.map(({ publicKey }) => publicKey),
    [three.publicKey],
  )
  t.match(await failsToPing(one.machine, podAddress(two.machine, 4), 100), 'Required key not available')
})

t.test('an endpoint may be of IPv6', async (t) => {
  const endpoint = { address: three.machine.ipv6Address, port: PORT }
  await one.generic.send([putWireguardPeer(one.target, { ...peerOf(three), endpoint })])
  t.match((await one.list()).peers, [{ endpoint }])
  t.equal(await failsToPing(one.machine, podAddress(three.machine, 4), 100), undefined)
})

t.test(`${MANY} peers are set and listed, each with its addresses`, async (t) => {
  const privateKeys = Array.from({ length: MANY }, (_, index) => {
    const bytes = Buffer.alloc(32)
    bytes.writeUInt32LE(index + 1, 8)
    return bytes.toString('base64')
  })
  // Any 32 bytes are a public key to the kernel.
  const peers = privateKeys.map((publicKey, index) => ({
    publicKey,
    endpoint: { address: '192.168.2.99', port: PORT },
    allowedIps: [`10.${100 + (index >> 8)}.${index & 255}.0/24`, `fd77:${(index + 1).toString(16)}::/64`],
    keepaliveSeconds: 0,
  }))
  await two.generic.send(peers.map((peer) => putWireguardPeer(two.target, peer)))
  const listed = new Map((await two.list()).peers.map((peer) => [peer.publicKey, peer]))
  t.equal(listed.size, MANY + 2)
  const wrong = peers.filter((peer) => {
    const { endpoint, allowedIps = [] } = listed.get(peer.publicKey) ?? {}
    return endpoint?.port !== PORT || allowedIps.toSorted().join() !== peer.allowedIps.join()
  })
  t.same(wrong, [])
})

t.test('a peer with more addresses than one message holds is listed with all of them', async (t) => {
  const allowedIps = Array.from({ length: 2_000 }, (_, index) => `172.16.${index >> 8}.${index & 255}/32`)
  await three.generic.send([putWireguardPeer(three.target, { ...peerOf(one), allowedIps })])
  const { peers } = await three.list()
  t.equal(peers.length, 2)
  const listed = peers.find(({ publicKey }) => publicKey === one.publicKey)
  t.same(new Set(listed?.allowedIps), new Set(allowedIps))
  t.match(listed, { endpoint: { address: one.machine.address }, keepaliveSeconds: 25 })
})

t.test('what the kernel refuses is an error that names it', async (t) => {
  const { generic, target } = two
  const [none] = await generic.trySend([putWireguardPeer({ ...target, linkIndex: 9999 }, peerOf(one))])
  t.type(none, KernelError)
  t.match(none, { errno: 'ENODEV', message: `wg set 9999 peer ${one.publicKey}` })
  await t.rejects(generic.dump(getWireguard({ ...target, linkIndex: 1 })), new KernelError('wg show 1', 'EOPNOTSUPP'))
  await t.rejects(findFamily(generic, 'no-such-family'), new KernelError('genl ctrl get name no-such-family', 'ENOENT'))
  for (const node of nodes) for (const socket of [node.netlink, node.generic]) socket.close()
})
