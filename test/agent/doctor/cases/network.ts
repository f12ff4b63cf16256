import { HEALTHY, UPLINK } from '../healthy.ts'
import type { Case } from './case.ts'

const { keepers, network } = HEALTHY

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
