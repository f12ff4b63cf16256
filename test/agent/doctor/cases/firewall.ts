import { chainsOf, HEALTHY } from '../healthy.ts'
import type { Case } from './case.ts'

const { firewall } = HEALTHY
const forwardDrop = { table: 'ip filter', name: 'FORWARD', hook: 'forward', policy: 'drop' }

export const FIREWALL_CASES: readonly Case[] = [
  {
    title: "Docker's FORWARD DROP",
    check: 'forward-drop',
    facts: { firewall: { ...firewall, chains: [forwardDrop, ...chainsOf('DOCKER', 'DOCKER-USER')] } },
    says: [['error', /FORWARD of ip filter drops .*Docker did that/]],
    commands: ['iptables-nft -I DOCKER-USER -i brm+ -j ACCEPT', 'iptables-nft -I DOCKER-USER -o brm+ -j ACCEPT'],
  },
  {
    title: 'the same by iptables-legacy and ip6tables',
    check: 'forward-drop',
    facts: { firewall: { ...firewall, legacyChains: [{ ...forwardDrop, table: 'ip6 filter' }] } },
    says: [['error', /\(iptables-legacy\)/]],
    commands: ['ip6tables-legacy -I FORWARD -i brm+ -j ACCEPT', 'ip6tables-legacy -I FORWARD -o brm+ -j ACCEPT'],
  },
  {
    title: "rules of nftables, as in Debian's /etc/nftables.conf",
    check: 'forward-drop',
    facts: { firewall: { ...firewall, chains: [{ ...forwardDrop, table: 'inet filter', name: 'forward' }] } },
    says: [['error', /the chain forward of inet filter drops/]],
    commands: [
      `nft 'insert rule inet filter forward iifname "brm*" accept'`,
      `nft 'insert rule inet filter forward oifname "brm*" accept'`,
    ],
  },
  {
    title: 'ufw, which is told by pod CIDRs',
    check: 'forward-drop',
    facts: { firewall: { ...firewall, chains: [forwardDrop, ...chainsOf('ufw-user-forward')] } },
    says: [['error', /ufw did that/]],
    commands: [
      'ufw route allow from 10.42.1.0/24',
      'ufw route allow to 10.42.1.0/24',
      'ufw route allow from 10.42.2.0/24',
      'ufw route allow to 10.42.2.0/24',
    ],
  },
  {
    title: 'a table that lets pods through by their links',
    check: 'forward-drop',
    facts: {
      firewall: {
        ...firewall,
        chains: [forwardDrop],
        texts: new Map([['ip filter', '  iifname "brm*" counter packets 0 bytes 0 accept']]),
      },
    },
    says: [],
  },
  {
    title: 'a table that lets the pods of the whole cluster through',
    check: 'forward-drop',
    facts: {
      firewall: {
        ...firewall,
        chains: [forwardDrop],
        texts: new Map([['ip filter', '  ip saddr { 10.42.0.0/16, 192.168.1.7/16 } accept']]),
      },
    },
    says: [],
  },
  {
    title: 'an accept for others does not count, nor do rules of the other iptables',
    check: 'forward-drop',
    facts: {
      firewall: {
        ...firewall,
        chains: [forwardDrop],
        texts: new Map([
          ['ip filter', '  iifname "docker0" accept'],
          ['legacy ip filter', '-A FORWARD -i brm+ -j ACCEPT'],
        ]),
      },
    },
    says: [['error', /FORWARD/]],
  },
  {
    title: 'a last rule that rejects all',
    check: 'forward-drop',
    facts: { firewall: { ...firewall, chains: [{ ...forwardDrop, policy: 'accept', isClosed: true }] } },
    says: [['error', /FORWARD of ip filter drops/]],
    commands: ['iptables-nft -I FORWARD -i brm+ -j ACCEPT', 'iptables-nft -I FORWARD -o brm+ -j ACCEPT'],
  },
  {
    title: 'firewalld that trusts some pods only',
    check: 'firewalld',
    facts: {
      firewall: {
        ...firewall,
        texts: new Map([['inet firewalld', 'ip saddr 10.42.1.0/24 goto x\nip6 saddr fd42:0:0:1::/64 goto x']]),
      },
    },
    says: [['error', /does not trust 10\.42\.2\.0\/24/]],
    commands: [
      'firewall-cmd --permanent --zone=trusted --add-source=10.42.2.0/24',
      'firewall-cmd --permanent --add-port=4789/udp # VXLAN, from other nodes',
      'firewall-cmd --reload',
    ],
  },
  {
    title: 'firewalld that trusts the pods of the whole cluster',
    check: 'firewalld',
    facts: {
      firewall: {
        ...firewall,
        texts: new Map([['inet firewalld', 'ip saddr 10.42.0.0/16 goto x\nip6 saddr fd42::/48 goto x']]),
      },
    },
    says: [],
  },
  {
    title: 'firewalld that trusts a part of the pods',
    check: 'firewalld',
    facts: {
      firewall: {
        ...firewall,
        texts: new Map([
          [
            'inet firewalld',
            'ip saddr 10.42.1.128/25 goto x\nip6 saddr fd42::/48 goto x\nip saddr 10.42.2.0/24 goto x',
          ],
        ]),
      },
    },
    says: [['error', /does not trust 10\.42\.1\.0\/24$/]],
  },
  {
    title: 'rules of both kinds of iptables',
    check: 'iptables-mixed',
    facts: { firewall: { ...firewall, chains: chainsOf('FORWARD'), legacyTables: ['ip nat'] } },
    says: [['warning', /iptables-legacy has ip nat, and iptables-nft has ip filter/]],
  },
  {
    title: "iptables-legacy beside nftables' own tables is no mixture",
    check: 'iptables-mixed',
    facts: {
      firewall: { ...firewall, chains: [{ table: 'ip kube-proxy', name: 'services' }], legacyTables: ['ip nat'] },
    },
    says: [],
  },
  ...['forward-drop', 'iptables-mixed'].map(
    (check): Case => ({
      title: 'tables of iptables-legacy that nobody can show are not known to be harmless',
      check,
      facts: { firewall: { ...firewall, unseenTables: ['ip filter'] } },
      says: [],
      unknown: /iptables-legacy has made ip filter/,
    }),
  ),
]
