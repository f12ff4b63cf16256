import fc from 'fast-check'
import t from 'tap'
import type { ClusterNode, ClusterView } from '../../../agent/cluster/view.ts'
import { type Change, DesiredNetwork, type LocalFacts, type NetworkSettings } from '../../../agent/desired/network.ts'
import { KINDS, type NodeObjects } from '../../../agent/desired/objects.ts'
import { vtepMac } from '../../../agent/desired/tunnel.ts'
import type { Routing, Uplink } from '../../../agent/desired/way.ts'
import { linkLocalOf } from '../../../agent/kernel/mac.ts'
import { parseCidr } from '../../../ipam/address.ts'
import { DEFAULTS } from '../../states/cluster-state.ts'

const node = (name: string, podCidrs: string[], addresses: string[]): ClusterNode => ({
  name,
  podCidrs: podCidrs.map(parseCidr),
  addresses,
})
const view = (...nodes: ClusterNode[]): ClusterView => ({ nodes: new Map(nodes.map((one) => [one.name, one])) })
const uplink = (cidr: string, link: string, gateway?: string): Uplink => ({
  cidr: parseCidr(cidr),
  link,
  metric: 0,
  ...(gateway !== undefined && { gateway }),
})

const SELF = node('pi-1', ['10.42.1.0/24', 'fd42:0:0:1::/64'], ['192.168.1.1'])
const NEAR = node('pi-2', ['10.42.2.0/24'], ['192.168.1.2'])
const FAR = node('pi-3', ['10.42.3.0/24', 'fd42:0:0:3::/64'], ['192.168.2.3'])
const FACTS: LocalFacts = {
  self: SELF,
  uplinks: [uplink('0.0.0.0/0', 'eth0', '192.168.1.254'), uplink('192.168.1.0/24', 'eth0')],
  linkMtus: new Map([
    ['eth0', 1500],
    ['wlan0', 1400],
  ]),
  addresses: new Set(['192.168.1.1', '2001:db8:1::1']),
  missing: new Map(),
}
const SETTINGS: NetworkSettings = { ...DEFAULTS, masquerade: { isOn: false, exempt: [] } }
function desired(cluster: ClusterView, settings: Partial<NetworkSettings> = {}, facts: LocalFacts = FACTS) {
  const network = new DesiredNetwork(facts, { ...SETTINGS, ...settings })
  const { after } = network.update(cluster)
  return { ...after, problems: network.problems, mtuBytes: network.mtuBytes }
}
const routed = (routing: Routing) => ({ routing })

t.test('a node that is alone keeps what no pod of it has from looping, and needs no tunnel', async (t) => {
  t.same(desired(view(SELF)), {
    links: [],
    addresses: [],
    neighbours: [],
    fdb: [],
    wireguardPeers: [],
    masqueradeTables: [],
    masqueradeElements: [],
    notrackTables: [],
    routes: [{ destination: '10.42.1.0/24' }, { destination: 'fd42:0:0:1::/64' }],
    problems: [],
    mtuBytes: 1500,
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
  t.same(links, [
    { kind: 'vxlan', name: link, vni: 4096, port: 4789, local: '192.168.1.1', mac: vtepMac('pi-1'), mtuBytes: 1450 },
  ])
  t.same(addresses, [
    { link, address: '10.42.1.0' },
    { link, address: 'fd42:0:0:1::' },
  ])
  t.same(neighbours, [
    { link, address: '10.42.3.0', mac },
    { link, address: linkLocalOf(mac), mac },
  ])
  t.same(fdb, [{ link, mac, remote: '192.168.2.3' }])
  t.same(routes.slice(2), [
    { destination: '10.42.3.0/24', link, gateway: '10.42.3.0', isOnlink: true },
    { destination: 'fd42:0:0:3::/64', link, gateway: linkLocalOf(mac), isOnlink: true },
  ])
})

t.test('the longest prefix of the own networks decides over which link a peer is near', async (t) => {
  const uplinks = [uplink('192.168.0.0/16', 'wlan0'), uplink('192.168.1.0/24', 'eth0')]
  t.equal(desired(view(SELF, NEAR), {}, { ...FACTS, uplinks }).routes[2]?.link, 'eth0')
  t.equal(desired(view(SELF, FAR), {}, { ...FACTS, uplinks }).routes[2]?.link, 'wlan0')
})

t.test('auto: who is behind a VPN of somebody is no neighbour; --routing direct takes it for one', async (t) => {
  const uplinks = [{ ...uplink('192.168.1.0/24', 'wg0'), isPointToPoint: true }]
  const facts = { ...FACTS, uplinks }
  t.equal(desired(view(SELF, NEAR), {}, facts).routes[2]?.link, 'bramble.vxlan')
  t.equal(desired(view(SELF, NEAR), routed('direct'), facts).routes[2]?.link, 'wg0')
})

t.test('what the kernel says about a peer goes before the routes of the main table', async (t) => {
  const answers = new Map([['192.168.1.2', uplink('192.168.1.2/32', 'wlan0', '10.0.0.1')]])
  const { routes, mtuBytes } = desired(view(SELF, NEAR), {}, { ...FACTS, answers, tunnelAnswers: answers })
  t.equal(routes[2]?.link, 'bramble.vxlan', 'there is a router in between')
  t.equal(mtuBytes, 1350)
  const { mtuBytes: ofTunnels } = desired(view(SELF, NEAR), {}, { ...FACTS, answers })
  t.equal(ofTunnels, 1450, 'what a tunnel sends has a source, and may go another way')
})

t.test('nobody has the pods where this node has to reach a server', async (t) => {
  const facts = {
    ...FACTS,
    servers: new Map([
      ['10.42.2.53', 'a DNS server'],
      ['10.42.1.7', 'Redis'],
    ]),
  }
  const { routes, problems } = desired(view(SELF, NEAR), {}, facts)
  t.notOk(routes.some(({ destination }) => destination === '10.42.2.0/24'))
  t.same(problems, [
    'the pod CIDR 10.42.1.0/24 of pi-1 holds 10.42.1.7, Redis; give the pods others',
    'the pod CIDR 10.42.2.0/24 of pi-2 holds 10.42.2.53, a DNS server; give the pods others',
  ])
})

t.test('vxlan: near peers go through the tunnel, too', async (t) => {
  t.equal(desired(view(SELF, NEAR), routed('vxlan')).routes[2]?.link, 'bramble.vxlan')
})

t.test('ipip: IPv4 pods go in IPv4, IPv6 pods in GRE over IPv4, and the peer is the gateway', async (t) => {
  const { links, neighbours, routes, addresses, mtuBytes } = desired(view(SELF, FAR), routed('ipip'))
  t.same(links, [
    { kind: 'ipip', name: 'bramble.ipip', local: '192.168.1.1', mtuBytes: 1480 },
    { kind: 'gre', name: 'bramble.gre', local: '192.168.1.1', mtuBytes: 1476 },
  ])
  t.same(neighbours, [{ link: 'bramble.gre', address: '::c0a8:203', mac: 'c0:a8:02:03' }])
  t.same(routes.slice(2), [
    { destination: '10.42.3.0/24', link: 'bramble.ipip', gateway: '192.168.2.3', isOnlink: true },
    { destination: 'fd42:0:0:3::/64', link: 'bramble.gre', gateway: '::c0a8:203', isOnlink: true },
  ])
  t.same(addresses, [
    { link: 'bramble.ipip', address: '10.42.1.0' },
    { link: 'bramble.gre', address: 'fd42:0:0:1::' },
  ])
  t.equal(mtuBytes, 1476)
})

const KEYS = { publicKey: 'A'.repeat(43), port: 51_820 }
const secret = (one: ClusterNode, port = 51_821): ClusterNode => ({
  ...one,
  announcement: { encapsulations: ['vxlan', 'wireguard'], wireguard: { publicKey: `key of ${one.name}`, port } },
})
const WITH_KEY = { wireguard: { ...KEYS, keepaliveSeconds: 25 } }

t.test('wireguard: one peer per node, known by its key, takes the addresses of its pods and no others', async (t) => {
  const { links, wireguardPeers, routes, mtuBytes } = desired(view(SELF, secret(FAR)), {
    ...routed('wireguard'),
    ...WITH_KEY,
  })
  const link = 'bramble.wg'
  t.same(links, [{ kind: 'wireguard', name: link, ...KEYS, mtuBytes: 1440 }])
  t.same(wireguardPeers, [
    {
      link,
      publicKey: 'key of pi-3',
      endpoint: { address: '192.168.2.3', port: 51_821 },
      allowedIps: ['10.42.3.0/24', 'fd42:0:0:3::/64'],
      keepaliveSeconds: 25,
    },
  ])
  t.same(routes.slice(2), [
    { destination: '10.42.3.0/24', isLast: true }, // a blackhole, and not the default route
    { destination: '10.42.3.0/24', link },
    { destination: 'fd42:0:0:3::/64', isLast: true },
    { destination: 'fd42:0:0:3::/64', link },
  ])
  t.equal(mtuBytes, 1440)
})

t.test('--encrypt: nothing goes unencrypted, in the same subnet neither; who has no key is not reached', async (t) => {
  const { routes, problems } = desired(view(SELF, secret(NEAR), FAR), { isEncrypted: true, ...WITH_KEY })
  t.same(routes.slice(2), [
    { destination: '10.42.2.0/24', isLast: true },
    { destination: '10.42.2.0/24', link: 'bramble.wg' },
    { destination: '10.42.3.0/24', isLast: true },
    { destination: 'fd42:0:0:3::/64', isLast: true },
  ])
  t.match(problems, [
    /^pi-3 has announced no WireGuard key; does its agent run with --routing wireguard or --encrypt\?/,
  ])
  t.equal(problems.length, 1)
})

t.test('auto: where one of the two cannot do VXLAN, both take IPIP', async (t) => {
  const without: ClusterNode = { ...FAR, announcement: { encapsulations: ['ipip'] } }
  t.equal(desired(view(SELF, without)).routes[2]?.link, 'bramble.ipip')
  const missing = new Map([['vxlan', 'no module vxlan']] as const)
  t.equal(desired(view(SELF, FAR), {}, { ...FACTS, missing }).routes[2]?.link, 'bramble.ipip')
  const self: ClusterNode = { ...SELF, announcement: { encapsulations: ['ipip'] } }
  t.equal(
    desired(view(self, FAR), {}, { ...FACTS, self }).routes[2]?.link,
    'bramble.ipip',
    'as long as the others were told so of this one, whatever its kernel can do by now',
  )
})

t.test('what this node can do by now and nobody was told is said to be no more than that', async (t) => {
  const self: ClusterNode = { ...SELF, announcement: { encapsulations: [] } } // its options were others
  t.same(desired(view(self, FAR), routed('vxlan'), { ...FACTS, self }).problems, [
    'the others were told that pi-1 does nothing, and not that it can do vxlan by now; it says so as soon as the cluster can be reached',
  ])
})

t.test('an explicit mode that the kernel lacks is one problem, with its remedy, however many peers', async (t) => {
  const missing = new Map([['vxlan', 'this kernel has no vxlan: apt install it']] as const)
  const { problems, links } = desired(view(SELF, NEAR, FAR), routed('vxlan'), { ...FACTS, missing })
  t.same(problems, ['this kernel has no vxlan: apt install it'])
  t.same(links, [])
})

t.test(
  'direct: a peer behind a router is a problem that names both and the remedy; the others are served',
  async (t) => {
    const far = node('pi-3', ['10.42.3.0/24'], ['192.168.2.3'])
    const { problems, routes } = desired(view(SELF, NEAR, far), routed('direct'))
    t.same(problems, ['pi-3 (192.168.2.3) is in no subnet of pi-1, as --routing direct needs; use auto or vxlan'])
    t.equal(routes.length, 3)
  },
)

t.test('a peer without an address that we could reach is a problem', async (t) => {
  t.same(desired(view(SELF, node('pi-4', ['10.42.4.0/24'], []))).problems, [
    'pi-4 has no IPv4 InternalIP, over which pi-1 has its tunnel',
  ])
})

t.test('an IPv6 underlay takes 70 bytes of the MTU, and 80 for WireGuard', async (t) => {
  const self = node('pi-1', ['10.42.1.0/24'], ['2001:db8:1::1'])
  const facts = { ...FACTS, self, uplinks: [uplink('::/0', 'eth0', 'fe80::1')] }
  const peer = secret(node('pi-2', ['10.42.2.0/24'], ['2001:db8:2::2']))
  t.match(desired(view(self, peer), {}, facts).links, [{ local: '2001:db8:1::1', mtuBytes: 1430 }])
  t.match(desired(view(self, peer), { isEncrypted: true, ...WITH_KEY }, facts).links, [{ mtuBytes: 1420 }])
})

t.test('the MTU is that of the links which lead to other nodes, and not of those that only lead out', async (t) => {
  const uplinks = [uplink('0.0.0.0/0', 'wlan0', '10.0.0.1'), uplink('192.168.0.0/16', 'eth0')]
  t.equal(desired(view(SELF, NEAR), {}, { ...FACTS, uplinks }).mtuBytes, 1500)
  const elsewhere = node('pi-9', ['10.42.9.0/24'], ['172.16.0.9'])
  t.equal(desired(view(SELF, NEAR, elsewhere), {}, { ...FACTS, uplinks }).mtuBytes, 1350)
})

t.test('pod CIDRs that cannot be are refused by name, with the reason and what to do', async (t) => {
  const settings = { serviceCidrs: [parseCidr('10.96.0.0/12')], clusterCidrs: [parseCidr('10.42.0.0/16')] }
  for (const [cidr, reason] of [
    ['10.96.5.0/24', 'overlaps 10.96.0.0/12, the addresses of Services; give the pods others'],
    ['10.50.0.0/24', "is outside of the cluster's 10.42.0.0/16; see --cluster-cidr"],
    [
      '10.42.0.0/16',
      "is as large as the whole cluster's 10.42.0.0/16, and leaves nothing for other nodes; give each node a part, like a /24",
    ],
  ] as const) {
    const { problems, routes } = desired(view(SELF, node('pi-7', [cidr], ['192.168.1.7'])), settings)
    t.ok(problems.includes(`the pod CIDR ${cidr} of pi-7 ${reason}`), problems.join('\n'))
    t.equal(routes.length, 2, 'only our own')
  }
})

t.test(
  'a network that takes the addresses of several nodes is told once, with its link; of one, with the CIDR',
  async (t) => {
    const others = [4, 5, 6].map((number) => node(`pi-${number}`, [`10.42.${number}.0/24`], [`192.168.1.${number}`]))
    const on = (cidr: string) => ({ ...FACTS, uplinks: [...FACTS.uplinks, uplink(cidr, 'docker0')] })
    const all = view(SELF, NEAR, ...others)
    t.same(desired(all, {}, on('10.42.0.0/16')).problems, [
      '10.42.0.0/16, the network on docker0 of this node, overlaps the pod CIDRs of pi-1, pi-2, pi-4 and 2 more; remove docker0 if it is a leftover, or give the pods of the cluster others',
    ])
    t.same(desired(all, {}, on('10.42.5.0/25')).problems, [
      'the pod CIDR 10.42.5.0/24 of pi-5 overlaps 10.42.5.0/25, the network on docker0 of pi-1; give that node another one',
    ])
    t.same(desired(all, {}, on('10.42.1.0/25')).problems, [
      'the pod CIDR 10.42.1.0/24 of pi-1 overlaps 10.42.1.0/25, the network on docker0; give the pods others',
    ])
  },
)

t.test("a node's tunnel MAC is known from its name alone, and a unicast address of local scope", async (t) => {
  t.equal(vtepMac('pi-1'), vtepMac('pi-1'))
  t.not(vtepMac('pi-1'), vtepMac('pi-2'))
  t.match(vtepMac('pi-1'), /^66:/)
})

/** A table is compared by its definition; its elements are objects of their own. */
function textOf(object: unknown): string {
  return JSON.stringify(object, (key, value) => (key === 'elements' ? undefined : value))
}

t.test('an address of this node that it does not have is a problem: nobody would meet it there', async (t) => {
  const self = node('pi-1', ['10.42.1.0/24'], ['192.168.1.99'])
  t.match(desired(view(self, NEAR), {}, { ...FACTS, self }).problems, [
    /^pi-1 is said to be at 192\.168\.1\.99, which none/,
  ])
})

/** What there is of each kind, whatever the order in which it came. */
function sorted(objects: NodeObjects): Record<string, string[]> {
  return Object.fromEntries(KINDS.map((kind) => [kind, objects[kind].map(textOf).sort()]))
}

t.test('whatever way the cluster went, step by step ends where one look at its last state does', async (t) => {
  const name = fc.integer({ min: 1, max: 6 }).map((number) => `pi-${number}`)
  const cidrs = fc
    .tuple(
      fc.constantFrom('', '10.42.1.0/24', '10.42.2.0/24', '10.42.2.0/25', '10.42.3.0/24', '10.42.0.0/16'),
      fc.constantFrom('', 'fd42:0:0:3::/64', 'fd42::/56'),
    )
    .map((both) => both.filter((text) => text !== ''))
  const address = fc.constantFrom('192.168.1.2', '192.168.1.3', '192.168.2.3', '2001:db8::5')
  const step = fc.record({ name, cidrs, address, isGone: fc.boolean() })
  fc.assert(
    fc.property(fc.array(fc.array(step, { maxLength: 4 }), { maxLength: 8 }), (batches) => {
      const settings = { ...SETTINGS, masquerade: { isOn: true, exempt: [] } }
      const network = new DesiredNetwork(FACTS, settings)
      const nodes = new Map([[SELF.name, SELF]])
      const there = new Map<string, Set<string>>()
      const carryOut = ({ before, after }: Change) => {
        for (const kind of KINDS) {
          const objects = there.get(kind) ?? new Set<string>()
          there.set(kind, objects)
          for (const object of before[kind]) if (!objects.delete(textOf(object))) throw new Error('never there')
          for (const object of after[kind]) objects.add(textOf(object))
        }
      }
      carryOut(network.update({ nodes }))
      for (const batch of batches) {
        const changed = new Set<string>()
        for (const { name, cidrs, address, isGone } of batch) {
          if (name === SELF.name) continue
          if (isGone) nodes.delete(name)
          else nodes.set(name, node(name, cidrs, [address]))
          changed.add(name)
        }
        carryOut(network.update({ nodes: new Map(nodes) }, changed))
      }
      const atOnce = new DesiredNetwork(FACTS, settings)
      const { after } = atOnce.update({ nodes })
      t.same(Object.fromEntries([...there].map(([kind, objects]) => [kind, [...objects].sort()])), sorted(after))
      t.same(network.problems.toSorted(), atOnce.problems.toSorted())
      t.equal(network.mtuBytes, atOnce.mtuBytes)
    }),
    { numRuns: 200 },
  )
})

t.test('the order in which nodes are known changes nothing but the order of objects', async (t) => {
  t.same(sorted(desired(view(SELF, NEAR, FAR))), sorted(desired(view(FAR, NEAR, SELF))))
})

t.test('pods that would be where a node is get no route: the node would be cut off', async (t) => {
  const claims = (cidr: string) => node('pi-2', [cidr], ['192.168.1.2'])
  const { routes, problems } = desired(view(SELF, claims('192.168.2.0/24'), FAR))
  t.notOk(routes.some(({ destination }) => destination === '192.168.2.0/24'))
  t.ok(
    routes.some(({ destination }) => destination === '10.42.3.0/24'),
    'the other one keeps its pods',
  )
  t.same(problems, ['the pod CIDR 192.168.2.0/24 of pi-2 holds 192.168.2.3, the address of pi-3; give the pods others'])
  const remote = { ...FACTS, self: { ...SELF, addresses: ['100.64.0.1'] }, addresses: new Set(['100.64.0.1']) }
  t.match(desired(view(SELF, claims('100.64.0.0/10')), {}, remote).problems, [
    /holds 100\.64\.0\.1, the address of pi-1/,
  ])
  const onlink = { ...FACTS, uplinks: [uplink('0.0.0.0/0', 'eth0', '172.31.1.1')] }
  t.match(desired(view(SELF, claims('172.31.0.0/16')), {}, onlink).problems, [
    /overlaps 172\.31\.1\.1, a router of pi-1/,
  ])
})

t.test('a node that comes to be among the pods of another takes their route away, and gives it back', async (t) => {
  const network = new DesiredNetwork(FACTS, SETTINGS)
  const pods = node('pi-2', ['172.16.0.0/16'], ['192.168.1.2'])
  const within = node('pi-3', [], ['172.16.3.3'])
  network.update(view(SELF, pods))
  const hasRoute = ({ after }: Change) => after.routes.some(({ destination }) => destination === '172.16.0.0/16')
  t.notOk(hasRoute(network.update(view(SELF, pods, within), ['pi-3'])))
  t.match(network.problems, [/holds 172\.16\.3\.3, the address of pi-3/])
  t.ok(hasRoute(network.update(view(SELF, pods, FAR), ['pi-3'])))
  t.same(network.problems, [])
})

t.test('nobody is where everybody on a network listens: such a node gets no route and no tunnel', async (t) => {
  for (const routing of ['auto', 'vxlan'] as const) {
    const { routes, fdb, problems } = desired(
      view(SELF, node('pi-9', ['10.42.9.0/24'], ['192.168.1.255'])),
      routed(routing),
    )
    t.notOk(routes.some(({ destination }) => destination === '10.42.9.0/24'))
    t.same(fdb, [])
    t.same(problems, [
      'pi-9 has the address 192.168.1.255, which is that of all on 192.168.1.0/24 (broadcast); give it its own',
    ])
  }
  const others = ['192.168.0.255', '192.168.1.254', '2001:db8:1::ffff']
  for (const address of others)
    t.same(desired(view(SELF, node('pi-9', ['10.42.9.0/24'], ['192.168.1.9', address]))).problems, [], address)
})

t.test('a node that was renamed is told from the one that it was: both have one address', async (t) => {
  const { routes, problems } = desired(view(SELF, node('old-pi', ['10.42.9.0/24'], SELF.addresses.slice())))
  t.notOk(routes.some(({ destination }) => destination === '10.42.9.0/24'))
  t.same(problems, ['old-pi has the address 192.168.1.1 of pi-1; delete the one that is gone'])
})
