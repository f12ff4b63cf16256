import { chainsOf, FLANNEL, foreignLink, HEALTHY, PLACE, place, UPLINK } from '../healthy.ts'
import type { Case } from './case.ts'

const { firewall, network } = HEALTHY

export const LEFTOVERS_CASES: readonly Case[] = [
  {
    title: "flannel's links, with a route that still leads there",
    check: 'leftover-links',
    facts: {
      network: {
        links: [UPLINK, foreignLink('flannel.1'), foreignLink('cni0')],
        routes: [{ destination: '10.244.3.0/24', link: 'flannel.1' }],
      },
    },
    says: [
      ['error', /flannel has left the link flannel\.1, with routes to 10\.244\.3\.0\/24/],
      ['warning', /a bridge network .* cni0/],
    ],
    commands: ['ip link delete flannel.1', 'ip link delete cni0'],
  },
  {
    title: 'a configuration that waits behind ours',
    check: 'leftover-conflists',
    facts: place({ configs: [...PLACE.configs, { ...FLANNEL, file: '80-flannel.conflist' }] }),
    says: [['note', /80-flannel\.conflist is of flannel/]],
    commands: ['rm /etc/cni/net.d/80-flannel.conflist'],
  },
  {
    title: "podman's own network is nobody's leftover",
    check: 'leftover-conflists',
    facts: place({
      configs: [...PLACE.configs, { file: '87-podman.conflist', name: 'podman', types: ['bridge', 'portmap'] }],
    }),
    says: [],
  },
  {
    title: "Calico's, Cilium's, Weave's and kube-router's links",
    check: 'leftover-links',
    facts: {
      network: {
        ...network,
        links: [
          ...['cali0123456789a', 'vxlan.calico', 'cilium_host', 'lxc0123456789ab', 'weave', 'kube-bridge'].map((name) =>
            foreignLink(name),
          ),
          foreignLink('tunl0', { addresses: ['10.244.1.1/32'] }),
        ],
      },
    },
    says: [
      ['warning', /Calico has left 3 links cali0123456789a, vxlan\.calico, tunl0/],
      ['warning', /Cilium has left 2 links/],
      ['warning', /Weave Net has left the link weave/],
      ['warning', /kube-router has left the link kube-bridge/],
    ],
    commands: [
      'ip link delete cali0123456789a',
      'ip link delete vxlan.calico',
      'ip address flush dev tunl0',
      'ip link delete cilium_host',
      'ip link delete lxc0123456789ab',
      'ip link delete weave',
      'ip link delete kube-bridge',
    ],
  },
  {
    title: 'a tunl0 without addresses is the module ipip, and a network that is in use has left nothing',
    check: 'leftover-links',
    facts: {
      ...place({ configs: [FLANNEL] }),
      network: { ...network, links: [foreignLink('tunl0'), foreignLink('flannel.1'), foreignLink('cni0')] },
    },
    says: [],
  },
  {
    title: 'chains of flannel, and a table of Calico',
    check: 'leftover-rules',
    facts: {
      firewall: {
        ...firewall,
        chains: [...chainsOf('FORWARD', 'FLANNEL-FWD'), { table: 'ip6 calico', name: 'anything' }],
        legacyChains: [{ table: 'ip nat', name: 'FLANNEL-POSTRTG' }],
      },
    },
    says: [
      ['warning', /flannel has left rules: FLANNEL-FWD in ip filter, FLANNEL-POSTRTG in ip nat/],
      ['warning', /Calico has left rules: anything in ip6 calico/],
    ],
    commands: [
      "iptables-nft-save | grep -vE '(^:|-A |-j |-g )FLANNEL-' | iptables-nft-restore",
      "iptables-legacy-save | grep -vE '(^:|-A |-j |-g )FLANNEL-' | iptables-legacy-restore",
      'nft delete table ip6 calico',
    ],
  },
]
