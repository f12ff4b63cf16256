import t from 'tap'
import { addAddress } from '../../../agent/kernel/addresses.ts'
import { addGreLink, greNeighbour, parseGre } from '../../../agent/kernel/gre.ts'
import { addIpipLink, parseIpip } from '../../../agent/kernel/ipip.ts'
import { getLink, parseLink, setLinkAddressGenerationOff, setLinkMtu, setLinkUp } from '../../../agent/kernel/links.ts'
import { addNeighbour, listNeighbours } from '../../../agent/kernel/neighbours.ts'
import { Netlink } from '../../../agent/kernel/netlink.ts'
import { addRoute, RT_TABLE_MAIN } from '../../../agent/kernel/routes.ts'
import { enterScratchNode, run } from '../scratch.ts'
import { failsToPing, inside, type Machine, makeLan, plugIn, podAddress, podCidr } from './underlay.ts'

/*
 * Tunnels over IPv4, ipip for IPv4 and gre for IPv6: two machines on one LAN, one on another; one link leads to both
 * others. For the virtual machine of `make test-vm`: a kernel without these kinds is a failure.
 */
await enterScratchNode()
await makeLan(1)
await makeLan(2)
const machines = [await plugIn(1, 1), await plugIn(2, 1), await plugIn(3, 2)] as const
const [one, , three] = machines

const KINDS = [
  {
    kind: 'ipip',
    family: 4,
    overheadBytes: 20,
    add: addIpipLink,
    parse: parseIpip,
    gatewayOf: ({ address }: Machine) => address,
    neighboursOf: () => [],
  },
  {
    kind: 'gre',
    family: 6,
    overheadBytes: 24,
    add: addGreLink,
    parse: parseGre,
    gatewayOf: ({ address }: Machine) => greNeighbour(address).address,
    neighboursOf: ({ address }: Machine) => [greNeighbour(address)],
  },
] as const

for (const { kind, family, overheadBytes, add, parse, gatewayOf, neighboursOf } of KINDS) {
  const name = `bramble.${kind}`
  const mtuBytes = 1500 - overheadBytes

  t.test(`${kind}: a link is read back as it was asked for`, async (t) => {
    for (const machine of machines) {
      const netlink = inside(machine, () => new Netlink())
      const local = machine.address
      const [, [message] = []] = await netlink.send([add({ name, local, mtuBytes: 1400 }), getLink(name)])
      if (!message) throw new Error(`no link ${name}`)
      const link = parseLink(message)
      t.match(link, { kind, mtuBytes: 1400 })
      t.same(parse(link.parameters), { local })
      const peers = machines.filter((peer) => peer !== machine)
      const neighbours = peers.flatMap<{ address: string; mac: string }>(neighboursOf)
      await netlink.send([
        setLinkAddressGenerationOff(link.index),
        setLinkMtu(link.index, mtuBytes),
        setLinkUp(link.index),
        addAddress(link.index, { address: podAddress(machine, family), prefixLength: family === 4 ? 32 : 128 }),
        ...neighbours.map((neighbour) => addNeighbour(link.index, neighbour)),
        ...peers.map((peer) =>
          addRoute(link.index, {
            destination: podCidr(peer, family),
            gateway: gatewayOf(peer),
            isOnlink: true,
            table: RT_TABLE_MAIN,
            metric: 0,
            protocol: 97,
          }),
        ),
      ])
      const listed = (await listNeighbours(netlink)).filter(({ linkIndex }) => linkIndex === link.index)
      t.same(
        listed.map(({ address, mac }) => ({ address, mac })).sort((a, b) => a.mac.localeCompare(b.mac)),
        neighbours,
      )
      netlink.close()
    }
  })

  t.test(`${kind}: every machine reaches every other, with packets as large as the link takes`, async (t) => {
    for (const from of machines)
      for (const to of machines.filter((machine) => machine !== from))
        for (const bytes of [100, mtuBytes])
          t.equal(await failsToPing(from, podAddress(to, family), bytes), undefined, `${from.name} to ${to.name}`)
  })

  t.test(`${kind}: what is too large for a stretch on the way is refused with the size that fits`, async (t) => {
    await run('ip', 'link', 'set', 'lan2', 'mtu', '1400')
    // The router refuses the first packet of the tunnel, and the tunnel from then on the packets inside.
    const words = new RegExp(`mtu[ =:]+${1400 - overheadBytes}\\b`)
    let said: string | undefined
    for (let tries = 0; tries < 10 && !words.test(said ?? ''); tries++)
      said = await failsToPing(one, podAddress(three, family), mtuBytes)
    t.match(said, words)
    t.equal(await failsToPing(one, podAddress(three, family), 1400 - overheadBytes), undefined)
    t.equal(await failsToPing(one, podAddress(machines[1], family), mtuBytes), undefined, 'and for no other peer')
    await run('ip', 'link', 'set', 'lan2', 'mtu', '1500')
    await run('ip', '-n', one.name, 'route', 'flush', 'cache') // and with it what it has learnt of the way
  })

  t.test(`${kind}: a link that leads to one peer is not taken for ours`, async (t) => {
    const netlink = inside(one, () => new Netlink())
    const other = ['local', one.address, 'remote', '192.168.1.2', 'ttl', 'inherit']
    await run('ip', '-n', one.name, 'link', 'add', `to-one-${kind}`, 'type', kind, ...other)
    const [[message] = []] = await netlink.send([getLink(`to-one-${kind}`)])
    t.equal(message && parse(parseLink(message).parameters), undefined)
    netlink.close()
  })
}
