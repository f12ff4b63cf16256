import { foreignLink, HEALTHY, UPLINK } from '../healthy.ts'
import type { Case } from './case.ts'

const { agent, network, settings } = HEALTHY

export const SETTINGS_CASES: readonly Case[] = [
  {
    title: 'forwarding that was set back, of both families',
    check: 'forwarding',
    facts: { settings: { ...settings, forwarding: { 4: '0', 6: undefined } } },
    says: [
      ['error', /net\/ipv4\/ip_forward is 0/],
      ['error', /net\/ipv6\/conf\/all\/forwarding is missing/],
    ],
    commands: ['sysctl -w net/ipv4/ip_forward=1', 'sysctl -w net/ipv6/conf/all/forwarding=1'],
  },
  {
    title: 'IPv6 need not be forwarded where pods have none',
    check: 'forwarding',
    facts: {
      settings: { ...settings, forwarding: { 4: '1', 6: '0' } },
      agent: { ...agent, podCidrs: ['10.42.1.0/24'] },
    },
    says: [],
  },
  {
    title: 'strict rp_filter with Ethernet and Wi-Fi in one network',
    check: 'rp-filter',
    facts: {
      network: { ...network, links: [UPLINK, foreignLink('wlan0', { addresses: ['192.168.1.201/24'] })] },
      settings: { ...settings, reversePathFilter: new Map([['wlan0', 1]]) },
    },
    says: [['warning', /wlan0 has strict/]],
    commands: [
      'sysctl -w net/ipv4/conf/wlan0/rp_filter=2',
      'echo net/ipv4/conf/wlan0/rp_filter=2 > /etc/sysctl.d/90-rp-filter-wlan0.conf',
    ],
  },
  {
    title: 'strict rp_filter in networks of their own is what it is for',
    check: 'rp-filter',
    facts: {
      network: { ...network, links: [UPLINK, foreignLink('eth1', { addresses: ['192.168.2.1/24'] })] },
      settings: { ...settings, reversePathFilter: new Map([['eth1', 1]]) },
    },
    says: [],
  },
  {
    title: 'a full table of connections',
    check: 'conntrack-full',
    facts: { settings: { ...settings, conntrack: { count: 130_000, max: 131_072 } } },
    says: [['error', /130000 of 131072 connections/]],
    commands: [
      'sysctl -w net/netfilter/nf_conntrack_max=262144',
      'echo net.netfilter.nf_conntrack_max=262144 > /etc/sysctl.d/90-conntrack.conf',
      'echo nf_conntrack > /etc/modules-load.d/90-conntrack.conf',
    ],
  },
  {
    title: 'a small table of connections',
    check: 'conntrack-small',
    facts: { settings: { ...settings, conntrack: { count: 10, max: 8_192 } } },
    says: [['note', /at most 8192/]],
  },
  {
    title: 'a kernel without connection tracking has no table to fill',
    check: 'conntrack-small',
    facts: { settings: { ...settings, conntrack: undefined } },
    says: [],
  },
]
