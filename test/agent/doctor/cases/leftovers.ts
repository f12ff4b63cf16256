import type { Facts } from '../../../../agent/doctor/facts.ts'
import { chainsOf, FLANNEL, foreignLink, HEALTHY, PLACE, place, UPLINK } from '../healthy.ts'
import type { Case } from './case.ts'

const { firewall, network } = HEALTHY

/** agent/nodes/overlap.ts, as it says it while it waits. */
const WAITS: Pick<Facts, 'agent'> = {
  agent: {
    ...HEALTHY.agent,
    answers: {
      ...(HEALTHY.agent.answers as NonNullable<Facts['agent']['answers']>),
      isServing: false,
      problems: [
        'the agent does not serve yet',
        'this node: the pod CIDR 10.42.1.0/24 overlaps 10.42.1.0/24, the network on cni0; give other addresses to the pods, or remove cni0 if it is a leftover',
      ],
    },
  },
}

export const LEFTOVERS_CASES: readonly Case[] = [
  {
    title: "flannel's links, with a route that still leads there",
    check: 'leftover-links',
    facts: {
      network: {
        ...network,
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
    title: "Calico's routes into nothing, one for each block of addresses; others are their makers'",
    check: 'leftover-routes',
    facts: {
      network: {
        ...network,
        blackholes: [
          { destination: '10.42.9.0/26', protocol: 80 },
          { destination: 'fd42:0:0:9::/122', protocol: 12 },
          { destination: '198.51.100.0/24', protocol: 4 },
        ],
      },
    },
    says: [['warning', /Calico has left routes into nothing: 10\.42\.9\.0\/26, fd42:0:0:9::\/122$/]],
    commands: [
      'ip route delete blackhole 10.42.9.0/26 proto 80',
      'ip route delete blackhole fd42:0:0:9::/122 proto 12',
    ],
  },
  {
    title: 'while Calico is the network, they are in use',
    check: 'leftover-routes',
    facts: {
      ...place({
        configs: [
          { file: '10-calico.conflist', name: 'k8s-pod-network', types: ['calico', 'portmap'], portMappers: [] },
        ],
      }),
      network: { ...network, blackholes: [{ destination: '10.42.9.0/26', protocol: 80 }] },
    },
    says: [],
  },
  {
    title: 'routes into nothing where no network is configured',
    check: 'leftover-routes',
    facts: {
      ...place({ configs: [] }),
      network: { ...network, blackholes: [{ destination: '10.42.9.0/26', protocol: 80 }] },
    },
    says: [],
    unknown: /no network configuration/,
  },
  {
    title:
      "rules of Cilium's, kube-router's and Calico's, which send packets to tables of their own; a VPN's are its own",
    check: 'leftover-routing-rules',
    facts: {
      network: {
        ...network,
        rules: [
          { family: 4, priority: 9, table: 2004, mark: 0x200 },
          { family: 6, priority: 10, table: 2005, mark: 0xa00 },
          { family: 4, priority: 99, table: 1, mark: 0x100000 },
          { family: 4, priority: 32_765, table: 77, mark: 0 },
          { family: 4, priority: 5210, table: 254, mark: 0x80000 },
          { family: 4, priority: 99, table: 100, mark: 0 },
        ],
      },
    },
    says: [
      ['warning', /Calico has left rules .*: 1 \(priority 99\)$/],
      ['warning', /Cilium has left rules .*: 2004 \(priority 9\), 2005 \(priority 10\)$/],
      ['warning', /kube-router has left rules .*: 77 \(priority 32765\)$/],
    ],
    commands: [
      'ip rule delete priority 99 table 1',
      'ip rule delete priority 9 table 2004',
      'ip -6 rule delete priority 10 table 2005',
      'ip rule delete priority 32765 table 77',
    ],
  },
  {
    title: 'rules where no network is configured',
    check: 'leftover-routing-rules',
    facts: {
      ...place({ configs: [] }),
      network: { ...network, rules: [{ family: 4, priority: 9, table: 2004, mark: 0x200 }] },
    },
    says: [],
    unknown: /no network configuration/,
  },
  {
    title: "Calico's kubeconfig, and what Cilium has set aside",
    check: 'leftover-files',
    facts: place({ others: ['README', 'calico-kubeconfig', '10-flannel.conflist.cilium_bak'] }),
    says: [
      ['note', /^Calico has left calico-kubeconfig in \/etc\/cni\/net\.d$/],
      ['note', /^Cilium has left 10-flannel\.conflist\.cilium_bak in/],
    ],
    commands: ['rm /etc/cni/net.d/calico-kubeconfig', 'rm /etc/cni/net.d/10-flannel.conflist.cilium_bak'],
  },
  {
    title: 'while Calico is the network, its kubeconfig is in use',
    check: 'leftover-files',
    facts: place({
      configs: [{ file: '10-calico.conflist', name: 'k8s-pod-network', types: ['calico'], portMappers: [] }],
      others: ['calico-kubeconfig'],
    }),
    says: [],
  },
  {
    title: 'a kubeconfig where no network is configured',
    check: 'leftover-files',
    facts: place({ configs: [], others: ['calico-kubeconfig'] }),
    says: [],
    unknown: /no network configuration/,
  },
  {
    title: "ipsets of Calico, Weave and kube-router; kube-proxy's and an administrator's are theirs",
    check: 'leftover-sets',
    facts: {
      firewall: {
        ...firewall,
        ipsets: ['cali40all-ipam-pools', 'cali60s:x', 'weave-9ca', 'KUBE-SRC-ABCDEF', 'KUBE-CLUSTER-IP', 'california'],
      },
    },
    says: [
      ['note', /Calico has left 2 ipsets cali40all-ipam-pools, cali60s:x$/],
      ['note', /Weave Net has left the ipset weave-9ca$/],
      ['note', /kube-router has left the ipset KUBE-SRC-ABCDEF$/],
    ],
    commands: [
      "ipset list -n | grep -E '^cali(4|6)' | xargs -rn1 ipset destroy",
      "ipset list -n | grep -E '^weave-' | xargs -rn1 ipset destroy",
      "ipset list -n | grep -E '^(inet6:)?(kube-router-|KUBE-(SRC|DST)-)' | xargs -rn1 ipset destroy",
    ],
  },
  {
    title: 'ipsets where no network is configured',
    check: 'leftover-sets',
    facts: { ...place({ configs: [] }), firewall: { ...firewall, ipsets: ['cali40x'] } },
    says: [],
    unknown: /no network configuration/,
  },
  {
    title: 'a configuration that waits behind ours',
    check: 'leftover-conflists',
    facts: place({ configs: [...PLACE.configs, { ...FLANNEL, file: '80-flannel.conflist' }] }),
    says: [['note', /80-flannel\.conflist is of flannel/]],
    commands: ['mv /etc/cni/net.d/80-flannel.conflist /etc/cni/net.d/80-flannel.conflist.disabled'],
  },
  {
    title: "podman's own network is nobody's leftover",
    check: 'leftover-conflists',
    facts: place({
      configs: [
        ...PLACE.configs,
        { file: '87-podman.conflist', name: 'podman', types: ['bridge', 'portmap'], portMappers: [] },
      ],
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
    title: 'a bridge that any configuration may mean, and one that has containers, are left to those',
    check: 'leftover-links',
    facts: {
      ...place({
        configs: [...PLACE.configs, { file: '87-podman.conflist', name: 'podman', types: ['bridge'], portMappers: [] }],
      }),
      network: { ...network, links: [foreignLink('cni0'), foreignLink('kube-bridge', { hasPorts: true })] },
    },
    says: [],
  },
  {
    title: "kube-router's links are tunnels; a VPN's tun-something and Open vSwitch's datapath are not of it",
    check: 'leftover-links',
    facts: {
      network: {
        ...network,
        links: [
          foreignLink('tun-e443169117a', { kind: 'ipip' }),
          foreignLink('tun-homeoffice', { kind: 'tun' }),
          foreignLink('datapath', { kind: 'openvswitch' }),
        ],
      },
    },
    says: [['warning', /kube-router has left the link tun-e443169117a$/]],
    commands: ['ip link delete tun-e443169117a'],
  },
  {
    title: 'where no network is configured, any may be the one in use',
    check: 'leftover-links',
    facts: { ...place({ configs: [] }), network: { ...network, links: [foreignLink('flannel.1')] } },
    says: [],
    unknown: /no network configuration/,
  },
  {
    title: 'but that for which the agent waits is not, once no pod has it',
    check: 'leftover-links',
    facts: {
      ...place({ configs: [] }),
      ...WAITS,
      network: { ...network, links: [foreignLink('flannel.1'), foreignLink('cni0')], routes: [] },
    },
    says: [
      ['warning', /flannel has left the link flannel\.1/],
      ['warning', /cni0/],
    ],
    commands: ['ip link delete flannel.1', 'ip link delete cni0'],
  },
  {
    title: 'while pods have it, the agent may wait for long',
    check: 'leftover-links',
    facts: {
      ...place({ configs: [] }),
      ...WAITS,
      network: { ...network, links: [foreignLink('flannel.1'), foreignLink('cni0', { hasPorts: true })], routes: [] },
    },
    says: [],
    unknown: /no network configuration/,
  },
  {
    title: 'where the runtime looks in a folder that was not looked into, any network may be the one in use',
    check: 'leftover-rules',
    facts: {
      cni: { ...HEALTHY.cni, runtime: { file: '/etc/containerd/config.toml', confDir: '/etc/cni/k8s' } },
      firewall: { ...firewall, chains: chainsOf('FLANNEL-FWD') },
    },
    says: [],
    unknown: /no network configuration/,
  },
  {
    title: 'rules of iptables-legacy that nobody can show',
    check: 'leftover-rules',
    facts: { firewall: { ...firewall, unseenTables: ['ip nat'] } },
    says: [],
    unknown: /iptables-legacy has made ip nat/,
  },
  {
    title: 'portmap has made ports lead to pods that are gone',
    check: 'leftover-rules',
    facts: {
      ...place({ configs: [{ file: '10-bramble.conflist', name: 'bramble', types: ['bramble'], portMappers: [] }] }),
      firewall: { ...firewall, chains: chainsOf('CNI-HOSTPORT-DNAT', 'CNI-DN-0123456789abcdef0') },
    },
    says: [['warning', /portmap .* has left rules: CNI-HOSTPORT-DNAT in ip filter, CNI-DN-/]],
    commands: ["iptables-nft-save -c | grep -vE '(^:|-A |-j |-g )CNI-(HOSTPORT-|DN-|SN-)' | iptables-nft-restore -c"],
  },
  {
    title: 'portmap that is chained is in use',
    check: 'leftover-rules',
    facts: { firewall: { ...firewall, chains: chainsOf('CNI-HOSTPORT-DNAT') } },
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
      "iptables-nft-save -c | grep -vE '(^:|-A |-j |-g )FLANNEL-' | iptables-nft-restore -c",
      "iptables-legacy-save -c | grep -vE '(^:|-A |-j |-g )FLANNEL-' | iptables-legacy-restore -c",
      'nft delete table ip6 calico',
    ],
  },
]
