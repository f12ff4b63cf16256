import { type ClusterState, DEFAULTS, type StateList } from './cluster-state.ts'
import { LINK_LOCAL, MAC, MANY, node } from './nodes.ts'

const SELF = node('pi-1', ['10.42.1.0/24', 'fd42:0:0:1::/64'], ['192.168.1.1', '2001:db8:1::1'])
const NEAR = node('pi-2', ['10.42.2.0/24', 'fd42:0:0:2::/64'], ['192.168.1.2', '2001:db8:1::2'])
const NEAR_IPV4 = node('pi-2', ['10.42.2.0/24'], ['192.168.1.2'])
const FAR = node('pi-3', ['10.42.3.0/24', 'fd42:0:0:3::/64'], ['192.168.2.3', '2001:db8:2::3'])
const FAR_IPV4 = node('pi-3', ['10.42.3.0/24'], ['192.168.2.3'])

/** Within the pods of pi-2. */
const WITHIN_NEAR = node('pi-4', ['10.42.2.128/25', 'fd42:0:0:4::/64'], ['192.168.2.4'])

/** What no pod of pi-1 has goes nowhere. */
const OWN = `
  blackhole 10.42.1.0/24
  blackhole fd42:0:0:1::/64`

/** This node's end of the tunnel. */
const vxlan = (local: string, mtuBytes: number, family: 'ip' | 'ip6') => `
  link bramble.vxlan UP mtu ${mtuBytes} lladdr ${MAC.pi1} vxlan id 4096 local ${local} dstport 4789 nolearning
  inet 10.42.1.0/32 dev bramble.vxlan
  inet fd42:0:0:1::/128 dev bramble.vxlan
  udp dport 4789 ${family} daddr ${local} notrack
  udp dport 4789 ${family} saddr ${local} notrack`
const VXLAN = vxlan('192.168.1.1', 1450, 'ip')

const FAR_BY_VXLAN = `
  neigh 10.42.3.0 dev bramble.vxlan lladdr ${MAC.pi3} PERMANENT
  neigh ${LINK_LOCAL.pi3} dev bramble.vxlan lladdr ${MAC.pi3} PERMANENT
  fdb ${MAC.pi3} dev bramble.vxlan dst 192.168.2.3 self permanent
  10.42.3.0/24 via 10.42.3.0 dev bramble.vxlan onlink
  fd42:0:0:3::/64 via ${LINK_LOCAL.pi3} dev bramble.vxlan onlink`

/** This node's ends of the tunnels of IPv4 and of IPv6 pods, for peers that cannot do VXLAN. */
const IPIP = `
  link bramble.ipip UP mtu 1480 ipip local 192.168.1.1
  inet 10.42.1.0/32 dev bramble.ipip
  link bramble.gre UP mtu 1476 gre local 192.168.1.1
  inet fd42:0:0:1::/128 dev bramble.gre`

const FAR_BY_IPIP = `
  neigh ::192.168.2.3 dev bramble.gre lladdr 192.168.2.3 PERMANENT
  10.42.3.0/24 via 192.168.2.3 dev bramble.ipip onlink
  fd42:0:0:3::/64 via ::192.168.2.3 dev bramble.gre onlink`

const STATES: readonly ClusterState[] = [
  {
    name: 'the node is alone',
    nodes: [SELF],
    kernel: `${OWN}
      set pods4-24 { 10.42.1.0 }
      set pods6-64 { fd42:0:0:1:: }`,
  },
  {
    name: 'two are on one LAN',
    nodes: [SELF, NEAR_IPV4],
    kernel: `${OWN}
      10.42.2.0/24 via 192.168.1.2 dev eth0
      set pods4-24 { 10.42.1.0, 10.42.2.0 }
      set pods6-64 { fd42:0:0:1:: }`,
  },
  {
    name: 'two are on one LAN, in both families',
    nodes: [SELF, NEAR],
    kernel: `${OWN}
      10.42.2.0/24 via 192.168.1.2 dev eth0
      fd42:0:0:2::/64 via 2001:db8:1::2 dev eth0
      set pods4-24 { 10.42.1.0, 10.42.2.0 }
      set pods6-64 { fd42:0:0:1::, fd42:0:0:2:: }`,
  },
  {
    name: 'a third is behind a router',
    nodes: [SELF, NEAR_IPV4, FAR_IPV4],
    kernel: `${OWN} ${VXLAN}
      10.42.2.0/24 via 192.168.1.2 dev eth0
      neigh 10.42.3.0 dev bramble.vxlan lladdr ${MAC.pi3} PERMANENT
      fdb ${MAC.pi3} dev bramble.vxlan dst 192.168.2.3 self permanent
      10.42.3.0/24 via 10.42.3.0 dev bramble.vxlan onlink
      set pods4-24 { 10.42.1.0, 10.42.2.0, 10.42.3.0 }
      set pods6-64 { fd42:0:0:1:: }`,
  },
  {
    name: 'a third is behind a router, in both families',
    nodes: [SELF, NEAR, FAR],
    kernel: `${OWN} ${VXLAN} ${FAR_BY_VXLAN}
      10.42.2.0/24 via 192.168.1.2 dev eth0
      fd42:0:0:2::/64 via 2001:db8:1::2 dev eth0
      set pods4-24 { 10.42.1.0, 10.42.2.0, 10.42.3.0 }
      set pods6-64 { fd42:0:0:1::, fd42:0:0:2::, fd42:0:0:3:: }`,
  },
  {
    name: 'a LAN has IPv4 alone: IPv6 pods go through the tunnel, and the others beside it',
    nodes: [SELF, { ...NEAR, addresses: ['192.168.1.2'] }],
    kernel: `${OWN} ${VXLAN}
      10.42.2.0/24 via 192.168.1.2 dev eth0
      neigh ${LINK_LOCAL.pi2} dev bramble.vxlan lladdr ${MAC.pi2} PERMANENT
      fdb ${MAC.pi2} dev bramble.vxlan dst 192.168.1.2 self permanent
      fd42:0:0:2::/64 via ${LINK_LOCAL.pi2} dev bramble.vxlan onlink
      set pods4-24 { 10.42.1.0, 10.42.2.0 }
      set pods6-64 { fd42:0:0:1::, fd42:0:0:2:: }`,
  },
  {
    name: 'a node on the LAN has IPv6 alone',
    nodes: [SELF, node('pi-2', ['fd42:0:0:2::/64'], ['2001:db8:1::2'])],
    kernel: `${OWN}
      fd42:0:0:2::/64 via 2001:db8:1::2 dev eth0
      set pods4-24 { 10.42.1.0 }
      set pods6-64 { fd42:0:0:1::, fd42:0:0:2:: }`,
  },
  {
    name: 'a node behind the router has IPv6 alone, and the tunnel goes over IPv4; its pods are pods all the same',
    nodes: [SELF, NEAR_IPV4, node('pi-3', ['fd42:0:0:3::/64'], ['2001:db8:2::3'])],
    kernel: `${OWN}
      10.42.2.0/24 via 192.168.1.2 dev eth0
      set pods4-24 { 10.42.1.0, 10.42.2.0 }
      set pods6-64 { fd42:0:0:1::, fd42:0:0:3:: }`,
    problems: ['pi-3 has no IPv4 InternalIP, over which pi-1 has its tunnel'],
  },
  {
    name: 'a node has no address',
    nodes: [SELF, NEAR_IPV4, { ...FAR_IPV4, addresses: [] }],
    kernel: `${OWN}
      10.42.2.0/24 via 192.168.1.2 dev eth0
      set pods4-24 { 10.42.1.0, 10.42.2.0, 10.42.3.0 }
      set pods6-64 { fd42:0:0:1:: }`,
    problems: ['pi-3 has no IPv4 InternalIP, over which pi-1 has its tunnel'],
  },
  {
    name: 'a node has no pods yet',
    nodes: [SELF, NEAR_IPV4, { ...FAR, podCidrs: [] }],
    kernel: `${OWN}
      10.42.2.0/24 via 192.168.1.2 dev eth0
      set pods4-24 { 10.42.1.0, 10.42.2.0 }
      set pods6-64 { fd42:0:0:1:: }`,
  },
  {
    name: 'a node has got another address on the LAN',
    nodes: [SELF, { ...NEAR_IPV4, addresses: ['192.168.1.22'] }, FAR],
    kernel: `${OWN} ${VXLAN} ${FAR_BY_VXLAN}
      10.42.2.0/24 via 192.168.1.22 dev eth0
      set pods4-24 { 10.42.1.0, 10.42.2.0, 10.42.3.0 }
      set pods6-64 { fd42:0:0:1::, fd42:0:0:3:: }`,
  },
  {
    name: 'a node has moved from the LAN to behind the router, and another one the other way',
    nodes: [SELF, { ...NEAR_IPV4, addresses: ['192.168.2.2'] }, { ...FAR_IPV4, addresses: ['192.168.1.3'] }],
    kernel: `${OWN} ${VXLAN}
      neigh 10.42.2.0 dev bramble.vxlan lladdr ${MAC.pi2} PERMANENT
      fdb ${MAC.pi2} dev bramble.vxlan dst 192.168.2.2 self permanent
      10.42.2.0/24 via 10.42.2.0 dev bramble.vxlan onlink
      10.42.3.0/24 via 192.168.1.3 dev eth0
      set pods4-24 { 10.42.1.0, 10.42.2.0, 10.42.3.0 }
      set pods6-64 { fd42:0:0:1:: }`,
  },
  {
    name: 'the last one behind the router has moved onto the LAN',
    nodes: [SELF, NEAR_IPV4, { ...FAR, addresses: ['192.168.1.3', '2001:db8:1::3'] }],
    kernel: `${OWN}
      10.42.2.0/24 via 192.168.1.2 dev eth0
      10.42.3.0/24 via 192.168.1.3 dev eth0
      fd42:0:0:3::/64 via 2001:db8:1::3 dev eth0
      set pods4-24 { 10.42.1.0, 10.42.2.0, 10.42.3.0 }
      set pods6-64 { fd42:0:0:1::, fd42:0:0:3:: }`,
  },
  {
    name: 'a node has another name: another MAC',
    nodes: [SELF, NEAR, { ...FAR, name: 'pi-20' }],
    kernel: `${OWN} ${VXLAN}
      10.42.2.0/24 via 192.168.1.2 dev eth0
      fd42:0:0:2::/64 via 2001:db8:1::2 dev eth0
      neigh 10.42.3.0 dev bramble.vxlan lladdr ${MAC.pi20} PERMANENT
      neigh ${LINK_LOCAL.pi20} dev bramble.vxlan lladdr ${MAC.pi20} PERMANENT
      fdb ${MAC.pi20} dev bramble.vxlan dst 192.168.2.3 self permanent
      10.42.3.0/24 via 10.42.3.0 dev bramble.vxlan onlink
      fd42:0:0:3::/64 via ${LINK_LOCAL.pi20} dev bramble.vxlan onlink
      set pods4-24 { 10.42.1.0, 10.42.2.0, 10.42.3.0 }
      set pods6-64 { fd42:0:0:1::, fd42:0:0:2::, fd42:0:0:3:: }`,
  },
  {
    name: 'a node has another name, and is there by its old one, too: the first by name counts',
    nodes: [SELF, NEAR_IPV4, { ...NEAR_IPV4, name: 'pi-20' }],
    kernel: `${OWN}
      10.42.2.0/24 via 192.168.1.2 dev eth0
      set pods4-24 { 10.42.1.0, 10.42.2.0 }
      set pods6-64 { fd42:0:0:1:: }`,
    problems: ['the pod CIDR 10.42.2.0/24 of pi-20 overlaps 10.42.2.0/24 of pi-2; give one of them another'],
  },
  {
    name: 'a node that joins with the pods of one that is there takes nothing from it, whatever its name is',
    nodes: [
      SELF,
      { ...NEAR_IPV4, createdAt: '2026-11-20T18:00:00Z' },
      { ...NEAR_IPV4, name: 'a-2', createdAt: '2026-11-21T06:00:00Z' },
    ],
    kernel: `${OWN}
      10.42.2.0/24 via 192.168.1.2 dev eth0
      set pods4-24 { 10.42.1.0, 10.42.2.0 }
      set pods6-64 { fd42:0:0:1:: }`,
    problems: ['the pod CIDR 10.42.2.0/24 of a-2 overlaps 10.42.2.0/24 of pi-2; give one of them another'],
  },
  {
    name: 'a node was made anew, with its old name and another pod CIDR',
    nodes: [SELF, NEAR_IPV4, { ...FAR, podCidrs: node('', ['10.42.33.0/24', 'fd42:0:0:33::/64'], []).podCidrs }],
    kernel: `${OWN} ${VXLAN}
      10.42.2.0/24 via 192.168.1.2 dev eth0
      neigh 10.42.33.0 dev bramble.vxlan lladdr ${MAC.pi3} PERMANENT
      neigh ${LINK_LOCAL.pi3} dev bramble.vxlan lladdr ${MAC.pi3} PERMANENT
      fdb ${MAC.pi3} dev bramble.vxlan dst 192.168.2.3 self permanent
      10.42.33.0/24 via 10.42.33.0 dev bramble.vxlan onlink
      fd42:0:0:33::/64 via ${LINK_LOCAL.pi3} dev bramble.vxlan onlink
      set pods4-24 { 10.42.1.0, 10.42.2.0, 10.42.33.0 }
      set pods6-64 { fd42:0:0:1::, fd42:0:0:33:: }`,
  },
  {
    name: 'a node was made anew with another name and another pod CIDR, and its old name is still there',
    nodes: [SELF, FAR, node('pi-20', ['10.42.20.0/24', 'fd42:0:0:20::/64'], FAR.addresses)],
    kernel: `${OWN} ${VXLAN} ${FAR_BY_VXLAN}
      neigh 10.42.20.0 dev bramble.vxlan lladdr ${MAC.pi20} PERMANENT
      neigh ${LINK_LOCAL.pi20} dev bramble.vxlan lladdr ${MAC.pi20} PERMANENT
      fdb ${MAC.pi20} dev bramble.vxlan dst 192.168.2.3 self permanent
      10.42.20.0/24 via 10.42.20.0 dev bramble.vxlan onlink
      fd42:0:0:20::/64 via ${LINK_LOCAL.pi20} dev bramble.vxlan onlink
      set pods4-24 { 10.42.1.0, 10.42.20.0, 10.42.3.0 }
      set pods6-64 { fd42:0:0:1::, fd42:0:0:20::, fd42:0:0:3:: }`,
  },
  {
    name: 'two have swapped their pod CIDRs',
    nodes: [SELF, { ...NEAR, podCidrs: FAR.podCidrs }, { ...FAR, podCidrs: NEAR.podCidrs }],
    kernel: `${OWN} ${VXLAN}
      10.42.3.0/24 via 192.168.1.2 dev eth0
      fd42:0:0:3::/64 via 2001:db8:1::2 dev eth0
      neigh 10.42.2.0 dev bramble.vxlan lladdr ${MAC.pi3} PERMANENT
      neigh ${LINK_LOCAL.pi3} dev bramble.vxlan lladdr ${MAC.pi3} PERMANENT
      fdb ${MAC.pi3} dev bramble.vxlan dst 192.168.2.3 self permanent
      10.42.2.0/24 via 10.42.2.0 dev bramble.vxlan onlink
      fd42:0:0:2::/64 via ${LINK_LOCAL.pi3} dev bramble.vxlan onlink
      set pods4-24 { 10.42.1.0, 10.42.2.0, 10.42.3.0 }
      set pods6-64 { fd42:0:0:1::, fd42:0:0:2::, fd42:0:0:3:: }`,
  },
  {
    name: 'two have swapped their addresses',
    nodes: [SELF, { ...NEAR, addresses: FAR.addresses }, { ...FAR, addresses: NEAR.addresses }],
    kernel: `${OWN} ${VXLAN}
      10.42.3.0/24 via 192.168.1.2 dev eth0
      fd42:0:0:3::/64 via 2001:db8:1::2 dev eth0
      neigh 10.42.2.0 dev bramble.vxlan lladdr ${MAC.pi2} PERMANENT
      neigh ${LINK_LOCAL.pi2} dev bramble.vxlan lladdr ${MAC.pi2} PERMANENT
      fdb ${MAC.pi2} dev bramble.vxlan dst 192.168.2.3 self permanent
      10.42.2.0/24 via 10.42.2.0 dev bramble.vxlan onlink
      fd42:0:0:2::/64 via ${LINK_LOCAL.pi2} dev bramble.vxlan onlink
      set pods4-24 { 10.42.1.0, 10.42.2.0, 10.42.3.0 }
      set pods6-64 { fd42:0:0:1::, fd42:0:0:2::, fd42:0:0:3:: }`,
  },
  {
    name: 'pod CIDRs overlap: the wider one does not count, and its node gets nothing, in neither family',
    nodes: [SELF, NEAR, WITHIN_NEAR],
    kernel: `${OWN} ${VXLAN}
      neigh 10.42.2.128 dev bramble.vxlan lladdr ${MAC.pi4} PERMANENT
      fdb ${MAC.pi4} dev bramble.vxlan dst 192.168.2.4 self permanent
      10.42.2.128/25 via 10.42.2.128 dev bramble.vxlan onlink
      neigh ${LINK_LOCAL.pi4} dev bramble.vxlan lladdr ${MAC.pi4} PERMANENT
      fd42:0:0:4::/64 via ${LINK_LOCAL.pi4} dev bramble.vxlan onlink
      set pods4-24 { 10.42.1.0 }
      set pods4-25 { 10.42.2.128 }
      set pods6-64 { fd42:0:0:1::, fd42:0:0:4:: }`,
    problems: ['the pod CIDR 10.42.2.0/24 of pi-2 overlaps 10.42.2.128/25 of pi-4; give one of them another'],
  },
  {
    name: 'one claims the pods of all: they keep theirs, whatever its name is',
    nodes: [SELF, NEAR_IPV4, FAR_IPV4, node('a-1', ['10.42.2.0/23'], ['192.168.1.9'])],
    kernel: `${OWN} ${VXLAN}
      10.42.2.0/24 via 192.168.1.2 dev eth0
      neigh 10.42.3.0 dev bramble.vxlan lladdr ${MAC.pi3} PERMANENT
      fdb ${MAC.pi3} dev bramble.vxlan dst 192.168.2.3 self permanent
      10.42.3.0/24 via 10.42.3.0 dev bramble.vxlan onlink
      set pods4-24 { 10.42.1.0, 10.42.2.0, 10.42.3.0 }
      set pods6-64 { fd42:0:0:1:: }`,
    problems: ['the pod CIDR 10.42.2.0/23 of a-1 overlaps 10.42.2.0/24 of pi-2; give one of them another'],
  },
  {
    name: 'the one that the others overlap is gone, and each of them has its own',
    nodes: [SELF, node('pi-3', ['10.42.2.0/25'], ['192.168.1.3']), WITHIN_NEAR],
    kernel: `${OWN} ${VXLAN}
      10.42.2.0/25 via 192.168.1.3 dev eth0
      neigh 10.42.2.128 dev bramble.vxlan lladdr ${MAC.pi4} PERMANENT
      fdb ${MAC.pi4} dev bramble.vxlan dst 192.168.2.4 self permanent
      10.42.2.128/25 via 10.42.2.128 dev bramble.vxlan onlink
      neigh ${LINK_LOCAL.pi4} dev bramble.vxlan lladdr ${MAC.pi4} PERMANENT
      fd42:0:0:4::/64 via ${LINK_LOCAL.pi4} dev bramble.vxlan onlink
      set pods4-24 { 10.42.1.0 }
      set pods4-25 { 10.42.2.0, 10.42.2.128 }
      set pods6-64 { fd42:0:0:1::, fd42:0:0:4:: }`,
  },
  {
    name: 'a newcomer claims the pods of all: it gets nothing, and the others keep theirs',
    nodes: [SELF, node('a-1', ['10.42.0.0/16'], ['192.168.1.66']), NEAR, FAR],
    kernel: `${OWN} ${VXLAN} ${FAR_BY_VXLAN}
      10.42.2.0/24 via 192.168.1.2 dev eth0
      fd42:0:0:2::/64 via 2001:db8:1::2 dev eth0
      set pods4-24 { 10.42.1.0, 10.42.2.0, 10.42.3.0 }
      set pods6-64 { fd42:0:0:1::, fd42:0:0:2::, fd42:0:0:3:: }`,
    problems: [
      'the pod CIDR 10.42.0.0/16 of a-1 overlaps 10.42.1.0/24, which are the pods of pi-1; give that node another one',
    ],
  },
  {
    name: 'a node has our pod CIDR in one family: it gets the other one',
    nodes: [SELF, node('pi-2', ['10.42.1.0/24', 'fd42:0:0:2::/64'], NEAR.addresses)],
    kernel: `${OWN}
      fd42:0:0:2::/64 via 2001:db8:1::2 dev eth0
      set pods4-24 { 10.42.1.0 }
      set pods6-64 { fd42:0:0:1::, fd42:0:0:2:: }`,
    problems: [
      'the pod CIDR 10.42.1.0/24 of pi-2 overlaps 10.42.1.0/24, which are the pods of pi-1; give that node another one',
    ],
  },
  {
    name: "a node has the LAN's addresses for its pods",
    nodes: [SELF, NEAR_IPV4, node('pi-3', ['192.168.1.0/24'], ['192.168.2.3'])],
    kernel: `${OWN}
      10.42.2.0/24 via 192.168.1.2 dev eth0
      set pods4-24 { 10.42.1.0, 10.42.2.0 }
      set pods6-64 { fd42:0:0:1:: }`,
    problems: [
      'the pod CIDR 192.168.1.0/24 of pi-3 overlaps 192.168.1.0/24, the network on eth0 of pi-1; give that node another one',
    ],
  },
  {
    name: 'pod CIDRs are of many sizes: a set of nftables for each',
    nodes: [
      SELF,
      node('pi-2', ['10.42.2.0/25'], ['192.168.1.2']),
      node('pi-3', ['10.42.3.0/26', 'fd42:0:3::/48'], ['192.168.1.3', '2001:db8:1::3']),
    ],
    kernel: `${OWN}
      10.42.2.0/25 via 192.168.1.2 dev eth0
      10.42.3.0/26 via 192.168.1.3 dev eth0
      fd42:0:3::/48 via 2001:db8:1::3 dev eth0
      set pods4-24 { 10.42.1.0 }
      set pods4-25 { 10.42.2.0 }
      set pods4-26 { 10.42.3.0 }
      set pods6-48 { fd42:0:3:: }
      set pods6-64 { fd42:0:0:1:: }`,
  },
  {
    name: 'this node has got another address: the tunnel starts there',
    nodes: [{ ...SELF, addresses: ['192.168.1.11'] }, FAR],
    kernel: `${OWN} ${vxlan('192.168.1.11', 1450, 'ip')} ${FAR_BY_VXLAN}
      set pods4-24 { 10.42.1.0, 10.42.3.0 }
      set pods6-64 { fd42:0:0:1::, fd42:0:0:3:: }`,
  },
  {
    name: 'this node is reached by IPv6 alone: the tunnel goes over that, and takes 20 bytes more',
    nodes: [{ ...SELF, addresses: ['2001:db8:1::1'] }, FAR],
    kernel: `${OWN}
      ${vxlan('2001:db8:1::1', 1430, 'ip6')}
      ${FAR_BY_VXLAN.replace('dst 192.168.2.3', 'dst 2001:db8:2::3')}
      set pods4-24 { 10.42.1.0, 10.42.3.0 }
      set pods6-64 { fd42:0:0:1::, fd42:0:0:3:: }`,
  },
  {
    name: 'the cluster does not know this node',
    nodes: [NEAR_IPV4, FAR],
    kernel: `${OWN} ${VXLAN} ${FAR_BY_VXLAN}
      10.42.2.0/24 via 192.168.1.2 dev eth0
      set pods4-24 { 10.42.1.0, 10.42.2.0, 10.42.3.0 }
      set pods6-64 { fd42:0:0:1::, fd42:0:0:3:: }`,
    problems: ['the cluster has no node pi-1: the others do not know this one; see --node-name'],
  },
  {
    name: 'the cluster says that this node has other pods than it serves',
    nodes: [{ ...SELF, podCidrs: node('', ['10.42.9.0/24'], []).podCidrs }, NEAR_IPV4],
    kernel: `${OWN}
      10.42.2.0/24 via 192.168.1.2 dev eth0
      set pods4-24 { 10.42.1.0, 10.42.2.0 }
      set pods6-64 { fd42:0:0:1:: }`,
    problems: ['the cluster says that pi-1 has the pods 10.42.9.0/24; this agent serves 10.42.1.0/24, fd42:0:0:1::/64'],
  },
  {
    name: 'the cluster has made this node anew, and gives it no pods',
    nodes: [{ ...SELF, podCidrs: [] }, NEAR_IPV4],
    kernel: `${OWN}
      10.42.2.0/24 via 192.168.1.2 dev eth0
      set pods4-24 { 10.42.1.0, 10.42.2.0 }
      set pods6-64 { fd42:0:0:1:: }`,
    problems: ['the cluster gives pi-1 no pod CIDR; this agent still serves 10.42.1.0/24, fd42:0:0:1::/64'],
  },
  {
    name: 'a node announces that it does IPIP alone',
    needsIpip: true,
    nodes: [SELF, NEAR_IPV4, { ...FAR, announcement: { encapsulations: ['ipip'] } }],
    kernel: `${OWN} ${IPIP} ${FAR_BY_IPIP}
      10.42.2.0/24 via 192.168.1.2 dev eth0
      set pods4-24 { 10.42.1.0, 10.42.2.0, 10.42.3.0 }
      set pods6-64 { fd42:0:0:1::, fd42:0:0:3:: }`,
  },
  {
    name: 'one does IPIP, another one VXLAN: pods have the MTU that is left by the larger of both',
    needsIpip: true,
    nodes: [
      SELF,
      { ...FAR, announcement: { encapsulations: ['ipip'] } },
      node('pi-4', ['10.42.4.0/24'], ['192.168.2.4'], { encapsulations: ['vxlan'] }),
    ],
    kernel: `${OWN} ${IPIP} ${FAR_BY_IPIP} ${VXLAN}
      neigh 10.42.4.0 dev bramble.vxlan lladdr ${MAC.pi4} PERMANENT
      fdb ${MAC.pi4} dev bramble.vxlan dst 192.168.2.4 self permanent
      10.42.4.0/24 via 10.42.4.0 dev bramble.vxlan onlink
      set pods4-24 { 10.42.1.0, 10.42.3.0, 10.42.4.0 }
      set pods6-64 { fd42:0:0:1::, fd42:0:0:3:: }`,
  },
  {
    name: 'two that do IPIP have one address, as a node with another name has while its old one is still there',
    needsIpip: true,
    nodes: [
      SELF,
      { ...FAR, announcement: { encapsulations: ['ipip'] } },
      node('pi-20', ['10.42.20.0/24', 'fd42:0:0:20::/64'], FAR.addresses, { encapsulations: ['ipip'] }),
    ],
    kernel: `${OWN} ${IPIP} ${FAR_BY_IPIP}
      10.42.20.0/24 via 192.168.2.3 dev bramble.ipip onlink
      fd42:0:0:20::/64 via ::192.168.2.3 dev bramble.gre onlink
      set pods4-24 { 10.42.1.0, 10.42.20.0, 10.42.3.0 }
      set pods6-64 { fd42:0:0:1::, fd42:0:0:20::, fd42:0:0:3:: }`,
  },
  {
    name: 'a node announces nothing that this one does',
    needsIpip: true,
    nodes: [SELF, NEAR_IPV4, { ...FAR_IPV4, announcement: { encapsulations: ['wireguard'] } }],
    kernel: `${OWN}
      10.42.2.0/24 via 192.168.1.2 dev eth0
      set pods4-24 { 10.42.1.0, 10.42.2.0, 10.42.3.0 }
      set pods6-64 { fd42:0:0:1:: }`,
    problems: [
      'pi-3 cannot do vxlan: its agent announces wireguard; see its status; pi-3 cannot do ipip: its agent announces wireguard; see its status',
    ],
  },
  {
    name: 'three hundred nodes, half of them behind the router',
    nodes: [SELF, ...MANY.map(({ name, podCidr, address }) => node(name, [podCidr], [address]))],
    kernel: `${OWN} ${VXLAN}
      ${MANY.map(({ podCidr, tunnelAddress, address, isNear, mac }) =>
        isNear
          ? `${podCidr} via ${address} dev eth0`
          : `neigh ${tunnelAddress} dev bramble.vxlan lladdr ${mac} PERMANENT
             fdb ${mac} dev bramble.vxlan dst ${address} self permanent
             ${podCidr} via ${tunnelAddress} dev bramble.vxlan onlink`,
      ).join('\n')}
      set pods4-24 { ${['10.42.1.0', ...MANY.map(({ tunnelAddress }) => tunnelAddress)].sort().join(', ')} }
      set pods6-64 { fd42:0:0:1:: }`,
  },
]

export const DUAL_STACK: StateList = {
  title: 'a node of both families',
  podCidrs: SELF.podCidrs.map(({ text }) => text),
  addresses: ['192.168.1.1/24', '2001:db8:1::1/64', '192.168.1.11/24'],
  gateways: ['192.168.1.254', '2001:db8:1::fe'],
  settings: DEFAULTS,
  states: STATES,
}
