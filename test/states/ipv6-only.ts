import { DEFAULTS, type StateList } from './cluster-state.ts'
import { LINK_LOCAL, MAC, node } from './nodes.ts'

const SELF = node('pi-1', ['fd42:0:0:1::/64'], ['2001:db8:1::1'])
const NEAR = node('pi-2', ['fd42:0:0:2::/64'], ['2001:db8:1::2'])
const FAR = node('pi-3', ['fd42:0:0:3::/64'], ['2001:db8:2::3'])

const OWN = 'blackhole fd42:0:0:1::/64'

const VXLAN = `
  link bramble.vxlan UP mtu 1430 lladdr ${MAC.pi1} vxlan id 4096 local 2001:db8:1::1 dstport 4789 nolearning
  inet fd42:0:0:1::/128 dev bramble.vxlan
  udp dport 4789 ip6 daddr 2001:db8:1::1 notrack
  udp dport 4789 ip6 saddr 2001:db8:1::1 notrack`

const FAR_BY_VXLAN = `
  neigh ${LINK_LOCAL.pi3} dev bramble.vxlan lladdr ${MAC.pi3} PERMANENT
  fdb ${MAC.pi3} dev bramble.vxlan dst 2001:db8:2::3 self permanent
  fd42:0:0:3::/64 via ${LINK_LOCAL.pi3} dev bramble.vxlan onlink`

export const IPV6_ONLY: StateList = {
  title: 'a node that has IPv6 alone',
  podCidrs: SELF.podCidrs.map(({ text }) => text),
  addresses: ['2001:db8:1::1/64'],
  gateways: ['2001:db8:1::fe'],
  settings: DEFAULTS,
  states: [
    {
      name: 'the node is alone',
      nodes: [SELF],
      kernel: `${OWN}
        set pods6-64 { fd42:0:0:1:: }`,
    },
    {
      name: 'two are on one LAN',
      nodes: [SELF, NEAR],
      kernel: `${OWN}
        fd42:0:0:2::/64 via 2001:db8:1::2 dev eth0
        set pods6-64 { fd42:0:0:1::, fd42:0:0:2:: }`,
    },
    {
      name: 'a third is behind a router',
      nodes: [SELF, NEAR, FAR],
      kernel: `${OWN} ${VXLAN} ${FAR_BY_VXLAN}
        fd42:0:0:2::/64 via 2001:db8:1::2 dev eth0
        set pods6-64 { fd42:0:0:1::, fd42:0:0:2::, fd42:0:0:3:: }`,
    },
    {
      name: 'a node has both families: all of it is reached over IPv6',
      nodes: [SELF, node('pi-3', ['10.42.3.0/24', 'fd42:0:0:3::/64'], ['192.168.2.3', '2001:db8:2::3'])],
      kernel: `${OWN} ${VXLAN} ${FAR_BY_VXLAN}
        neigh 10.42.3.0 dev bramble.vxlan lladdr ${MAC.pi3} PERMANENT
        10.42.3.0/24 via 10.42.3.0 dev bramble.vxlan onlink
        set pods4-24 { 10.42.3.0 }
        set pods6-64 { fd42:0:0:1::, fd42:0:0:3:: }`,
    },
    {
      name: 'a node has IPv4 alone, and no way leads there',
      nodes: [SELF, NEAR, node('pi-3', ['10.42.3.0/24'], ['192.168.2.3'])],
      kernel: `${OWN}
        fd42:0:0:2::/64 via 2001:db8:1::2 dev eth0
        set pods4-24 { 10.42.3.0 }
        set pods6-64 { fd42:0:0:1::, fd42:0:0:2:: }`,
      problems: [
        'pi-3 has no IPv6 InternalIP, over which pi-1 has its tunnel; pi-1 has no IPv4 InternalIP, over which pi-1 has its tunnel',
      ],
    },
  ],
}
