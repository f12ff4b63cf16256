import { HEALTHY } from '../healthy.ts'
import type { Case } from './case.ts'

const { dns } = HEALTHY

export const DNS_CASES: readonly Case[] = [
  {
    title: 'a resolv.conf that names the node itself',
    check: 'dns-loop',
    facts: { dns: { ...dns, hasUpstreamFile: false } },
    says: [['warning', /names 127\.0\.0\.53 alone/]],
  },
  {
    title: 'search domains of DHCP that the node leaves out',
    check: 'dns-search',
    facts: { dns: { ...dns, search: [], leasedDomains: ['home.arpa', 'lab.example'] } },
    says: [['note', /home\.arpa, lab\.example/]],
    commands: [
      "mkdir -p /etc/systemd/network/10-eth0.network.d && printf '[DHCPv4]\\nUseDomains=yes\\n' > /etc/systemd/network/10-eth0.network.d/domains.conf",
      'networkctl reload',
    ],
  },
]
