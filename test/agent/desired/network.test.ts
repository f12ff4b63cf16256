import t from 'tap'
import type { ClusterNode, ClusterView } from '../../../agent/cluster/view.ts'
import { desiredNetwork, type LocalFacts } from '../../../agent/desired/network.ts'
import { vtepMac } from '../../../agent/desired/peer.ts'
import type { Routing } from '../../../agent/desired/way.ts'
import { parseCidr } from '../../../ipam/address.ts'

const node = (name: string, podCidrs: string[], addresses: string[]): ClusterNode => ({
  name,
  podCidrs: podCidrs.map(parseCidr),
  addresses,
})
const view = (...nodes: ClusterNode[]): ClusterView => ({ nodes: new Map(nodes.map((one) => [one.name, one])) })

const SELF = node('pi-1', ['10.42.1.0/24', 'fd42:0:0:1::/64'], ['192.168.1.1'])
const NEAR = node('pi-2', ['10.42.2.0/24'], ['192.168.1.2'])
const FAR = node('pi-3', ['10.42.3.0/24', 'fd42:0:0:3::/64'], ['192.168.2.3'])
const FACTS: LocalFacts = {
  self: SELF,
  networks: [
    { cidr: parseCidr('192.168.0.0/16'), link: 'wlan0' },
    { cidr: parseCidr('192.168.1.0/24'), link: 'eth0' },
  ],
  uplinkMtuBytes: 1500,
}
const ONE_LAN = { ...FACTS, networks: FACTS.networks.slice(1) }
const desired = (cluster: ClusterView, routing: Routing = 'auto', facts: LocalFacts = ONE_LAN) =>
  desiredNetwork(cluster, facts, { routing, vxlanVni: 4096, vxlanPort: 4789 })

t.test('a node that is alone keeps what no pod of it has from looping, and needs no tunnel', async (t) => {
  t.same(desired(view(SELF)), {
    links: [],
    addresses: [],
    neighbours: [],
    fdb: [],
    routes: [{ destination: '10.42.1.0/24' }, { destination: 'fd42:0:0:1::/64' }],
    problems: [],
  })
})

t.test('auto: a peer in the same subnet is reached directly', async (t) => {
  const { routes, links } = desired(view(SELF, NEAR))
  t.same(routes[2], { destination: '10.42.2.0/24', link: 'eth0', gateway: '192.168.1.2' })
  t.same(links, [])
})

t.test('auto: a peer behind a router is reached through VXLAN, IPv6 pods over the IPv4 underlay, too', async (t) => {
  const { links, addresses, neighbours, fdb, routes } = desired(view(SELF, FAR))
  const mac = vtepMac('pi-3')
  const link = 'bramble.vxlan'
  t.same(links, [{ name: link, vni: 4096, port: 4789, local: '192.168.1.1', mac: vtepMac('pi-1'), mtuBytes: 1450 }])
  t.same(addresses, [
    { link, address: '10.42.1.0' },
    { link, address: 'fd42:0:0:1::' },
  ])
  t.same(neighbours, [
    { link, address: '10.42.3.0', mac },
    { link, address: 'fd42:0:0:3::', mac },
  ])
  t.same(fdb, [{ link, mac, remote: '192.168.2.3' }])
  t.same(routes.slice(2), [
    { destination: '10.42.3.0/24', link, gateway: '10.42.3.0', isOnlink: true },
    { destination: 'fd42:0:0:3::/64', link, gateway: 'fd42:0:0:3::', isOnlink: true },
  ])
})

t.test('the longest prefix of the own networks decides over which link a peer is near', async (t) => {
  t.equal(desired(view(SELF, NEAR), 'auto', FACTS).routes[2]?.link, 'eth0')
  t.equal(desired(view(SELF, FAR), 'auto', FACTS).routes[2]?.link, 'wlan0')
})

t.test('vxlan: near peers go through the tunnel, too', async (t) => {
  t.equal(desired(view(SELF, NEAR), 'vxlan').routes[2]?.link, 'bramble.vxlan')
})

t.test(
  'direct: a peer behind a router is a problem that names both and the remedy; the others are served',
  async (t) => {
    const { problems, routes } = desired(view(SELF, NEAR, node('pi-3', ['10.42.3.0/24'], ['192.168.2.3'])), 'direct')
    t.same(problems, ['pi-3 (192.168.2.3) is in no subnet of pi-1, as --routing direct needs; use auto or vxlan'])
    t.equal(routes.length, 3)
  },
)

t.test('a peer without an address that we could reach is a problem', async (t) => {
  t.same(desired(view(SELF, node('pi-4', ['10.42.4.0/24'], []))).problems, [
    'pi-4 has no IPv4 InternalIP, over which pi-1 has its tunnel',
  ])
})

t.test('an IPv6 underlay takes 70 bytes of the MTU', async (t) => {
  const self = node('pi-1', ['10.42.1.0/24'], ['2001:db8:1::1'])
  const facts = { ...FACTS, self, networks: [] }
  const { links } = desired(view(self, node('pi-2', ['10.42.2.0/24'], ['2001:db8:2::2'])), 'auto', facts)
  t.match(links, [{ local: '2001:db8:1::1', mtuBytes: 1430 }])
})

t.test("a node's tunnel MAC is known from its name alone, and a unicast address of local scope", async (t) => {
  t.equal(vtepMac('pi-1'), vtepMac('pi-1'))
  t.not(vtepMac('pi-1'), vtepMac('pi-2'))
  t.match(vtepMac('pi-1'), /^66:/)
})

t.test('the order in which nodes are known changes nothing but the order of objects', async (t) => {
  const sorted = (cluster: ClusterView) =>
    Object.values(desired(cluster)).map((list) => list.map((one: unknown) => JSON.stringify(one)).sort())
  t.same(sorted(view(SELF, NEAR, FAR)), sorted(view(FAR, NEAR, SELF)))
})
