import type { TunnelEnd } from '../../../../agent/doctor/facts.ts'
import { HEALTHY } from '../healthy.ts'
import type { Case } from './case.ts'

const { paths } = HEALTHY
const end = (node: string, outcome: TunnelEnd['outcome']): TunnelEnd => ({
  node,
  way: 'vxlan',
  address: '10.42.2.0',
  outcome,
})

export const PATHS_CASES: readonly Case[] = [
  {
    title: 'a path that is narrower than it says',
    check: 'path-mtu',
    facts: {
      paths: {
        ...paths,
        peers: [{ node: 'pi-2', way: 'vxlan', address: '192.168.2.2', neededBytes: 1500, measuredBytes: 1400 }],
      },
    },
    says: [['error', /packets of 1500 bytes do not get to pi-2 \(192\.168\.2\.2, vxlan\); 1400 do/]],
    commands: ['bramblectl mtu --probe'],
  },
  {
    title: 'other nodes send more than this one takes',
    check: 'own-mtu',
    facts: {
      paths: {
        ...paths,
        peers: [{ node: 'pi-2', way: 'vxlan', address: '192.168.2.2', neededBytes: 1400, measuredBytes: 1400 }],
        largerPeers: [
          { node: 'pi-2', address: '192.168.2.2' },
          { node: 'pi-3', address: '192.168.2.3' },
        ],
      },
    },
    says: [
      [
        'warning',
        /^packets as large as those of pi-2 \(192\.168\.2\.2\), pi-3 \(192\.168\.2\.3\) do not get here; this node itself sends no more than 1400 bytes$/,
      ],
    ],
    commands: ['ip link show eth0'],
  },
  {
    title: 'a node that does not answer',
    check: 'peer-silent',
    facts: {
      paths: {
        ...paths,
        peers: [
          {
            node: 'pi-2',
            way: 'vxlan',
            address: '192.168.2.2',
            neededBytes: 1500,
            problem: 'does not answer echo requests',
          },
        ],
      },
    },
    says: [['warning', /pi-2 \(192\.168\.2\.2\) does not answer/]],
    commands: ['ping -c 3 192.168.2.2', 'ip route get 192.168.2.2'],
  },
  {
    title: 'a firewall that lets no VXLAN in',
    check: 'tunnel-silent',
    facts: { paths: { ...paths, tunnelEnds: [end('pi-2', 'silent')] } },
    says: [['error', /pi-2 answers, but its end of vxlan \(10\.42\.2\.0\) does not/]],
    commands: ['iptables -I INPUT -p udp --dport 4789 -j ACCEPT'],
  },
  {
    title: 'a firewall between nodes that are joined by IPv6',
    check: 'tunnel-silent',
    facts: {
      paths: {
        ...paths,
        peers: [{ node: 'pi-2', way: 'vxlan', address: '2001:db8::2', neededBytes: 1500, measuredBytes: 1500 }],
        tunnelEnds: [end('pi-2', 'silent'), { ...end('pi-2', 'silent'), way: 'other' }],
      },
    },
    says: [
      ['error', /its end of vxlan/],
      ['error', /its end of other/],
    ],
    commands: ['ip6tables -I INPUT -p udp --dport 4789 -j ACCEPT', 'ip6tables -I INPUT -s 2001:db8::2 -j ACCEPT'],
  },
  {
    title: 'a node that is away as a whole has no silent tunnel besides',
    check: 'tunnel-silent',
    facts: {
      paths: {
        ...paths,
        peers: [{ node: 'pi-2', way: 'vxlan', address: '192.168.2.2', neededBytes: 1500, problem: 'does not answer' }],
        tunnelEnds: [end('pi-2', 'silent')],
      },
    },
    says: [],
  },
  {
    title: 'a card that spoils checksums inside of VXLAN',
    check: 'checksum-offload',
    facts: { paths: { ...paths, tunnelEnds: [end('pi-2', 'spoilt'), end('pi-3', 'reached')] } },
    says: [['error', /bramble\.vxlan get to pi-2 with wrong checksums/]],
    commands: ['ethtool -K bramble.vxlan tx off'],
  },
]
