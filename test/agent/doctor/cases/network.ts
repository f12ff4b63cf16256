import { HEALTHY, UPLINK } from '../healthy.ts'
import type { Case } from './case.ts'

const { agent, keepers, network } = HEALTHY
const answers = agent.answers as NonNullable<typeof agent.answers>

export const NETWORK_CASES: readonly Case[] = [
  {
    title: "pods' addresses that are the home LAN's, and a peer's that are a VPN's",
    check: 'cidr-overlap',
    facts: {
      network: {
        ...network,
        routes: [
          ...network.routes,
          { destination: '10.42.0.0/16', link: 'eth0' },
          { destination: '10.42.2.128/25', link: 'wg0' },
        ],
      },
    },
    says: [
      ['error', /10\.42\.1\.0\/24 of this node overlaps 10\.42\.0\.0\/16, which is routed to eth0/],
      ['error', /10\.42\.2\.0\/24 of pi-2 overlaps 10\.42\.0\.0\/16/],
      ['error', /10\.42\.2\.0\/24 of pi-2 overlaps 10\.42\.2\.128\/25, which is routed to wg0/],
    ],
  },
  ...[
    'the pod CIDR 10.42.1.0/24 of pi-3 overlaps 10.42.1.0/24 of pi-2; give one of them another',
    'the pod CIDR 10.42.1.0/24 of pi-2 overlaps 10.42.1.0/24, which are the pods of pi-3; give that node another one',
  ].map((problem) => ({
    title: `of two nodes with one pod CIDR the same one has to join anew, whoever is asked: ${problem}`,
    check: 'cidr-of-two-nodes',
    facts: { agent: { ...agent, runsAs: 'pod' as const, answers: { ...answers, problems: [problem] } } },
    says: [['error', /pi-2 and pi-3 have the same addresses for pods, or some of them: 10\.42\.1\.0\/24$/] as const],
    commands: [
      'kubectl get nodes pi-2 pi-3 -o custom-columns=NAME:.metadata.name,SINCE:.metadata.creationTimestamp,CIDRS:.spec.podCIDRs',
      'kubectl drain pi-3 --ignore-daemonsets --delete-emptydir-data',
      'kubectl delete node pi-3',
    ],
  })),
  {
    title: 'without Kubernetes the file of each host says what its addresses are',
    check: 'cidr-of-two-nodes',
    facts: {
      agent: {
        ...agent,
        answers: {
          ...answers,
          problems: ['the pod CIDR fd42::/64 of b overlaps fd42::/48 of a; give one of them another'],
        },
      },
    },
    says: [['error', /the nodes a and b .*fd42::\/64$/]],
    commands: [],
  },
  {
    title: 'an uplink by Wi-Fi',
    check: 'wifi-uplink',
    facts: { network: { ...network, links: [{ ...UPLINK, name: 'wlan0', isWireless: true }] } },
    says: [['note', /Wi-Fi \(wlan0\)/]],
    commands: ['iw dev wlan0 set power_save off'],
  },
  {
    title: 'daemons that were not told of our links',
    check: 'link-keepers',
    facts: {
      keepers: { networkManager: { runs: true, leavesOurs: false }, networkd: { runs: true, leavesOurs: false } },
    },
    says: [
      ['warning', /NetworkManager/],
      ['warning', /systemd-networkd/],
    ],
    commands: [
      "printf '[keyfile]\\nunmanaged-devices+=interface-name:brm*;interface-name:bramble.*\\n' > /etc/NetworkManager/conf.d/bramble.conf",
      'nmcli general reload',
      "mkdir -p /etc/systemd/networkd.conf.d && printf '[Network]\\nManageForeignRoutes=no\\nManageForeignRoutingPolicyRules=no\\n' > /etc/systemd/networkd.conf.d/bramble.conf",
      'systemctl restart systemd-networkd',
    ],
  },
  {
    title: 'daemons that do not run need not be told',
    check: 'link-keepers',
    facts: {
      keepers: {
        networkManager: { ...keepers.networkManager, runs: false, leavesOurs: false },
        networkd: keepers.networkd,
      },
    },
    says: [],
  },
]
