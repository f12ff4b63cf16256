import type { ControlCall } from '../../agent/api/control.ts'

/** What goes into the archive, and how it is come by. A further thing is a further line. */
export type Item = { readonly path: string } & (
  | { readonly kind: 'answer'; readonly call: ControlCall }
  /** `plain`: what busybox has, which is in our image; `debian`: the package that has it, where not all machines do. */
  | {
      readonly kind: 'program'
      readonly command: readonly string[]
      readonly plain?: readonly string[]
      readonly debian?: string
    }
  | { readonly kind: 'self'; readonly args: readonly string[] }
  | { readonly kind: 'file'; readonly file: string }
  /** Files in a folder and the folders below it, each below `path`; of one too long its end. */
  | { readonly kind: 'folder'; readonly folder: string; readonly names: RegExp }
  /** Names, modes, sizes. */
  | { readonly kind: 'listing'; readonly folder: string }
  /** Below /proc/sys/, `*` for any one name. */
  | { readonly kind: 'settings'; readonly patterns: readonly string[] }
  | { readonly kind: 'processes'; readonly names: RegExp; readonly nameAlone: RegExp }
)

/** Network configurations and ours: what else lies there (kubeconfigs, certificates) stays there. */
const CONFIGURATION = /\.(conf|conflist|json|ya?ml)$/

const answer = (call: ControlCall): Item => ({ path: `agent/${call.replaceAll(' ', '-')}.json`, kind: 'answer', call })

const program = (path: string, command: string, debian?: string, plain?: string): Item => ({
  path,
  kind: 'program',
  command: command.split(' '),
  ...(debian && { debian }),
  ...(plain && { plain: plain.split(' ') }),
})

const file = (path: string, from: string): Item => ({ path, kind: 'file', file: from })

const PROC_NET = [
  ...['arp', 'dev', 'fib_trie', 'fib_triestat', 'if_inet6', 'ipv6_route', 'netstat', 'protocols', 'route', 'snmp'],
  ...['snmp6', 'sockstat', 'sockstat6', 'softnet_stat', 'stat/arp_cache', 'stat/nf_conntrack', 'udp', 'udp6'],
]

export const CONTENTS: readonly Item[] = [
  answer('status'),
  answer('nodes'),
  answer('pods'),
  answer('ipam'),
  answer('ipam check'),
  answer('mtu'),
  answer('policy show'),
  answer('node manifest'),
  answer('node list'),
  { path: 'agent/doctor.json', kind: 'self', args: ['doctor', '-o', 'json'] },
  {
    path: 'agent/processes.txt',
    kind: 'processes',
    names: /bramble|kubelet|kube-proxy|k3s|containerd|crio|podman/,
    nameAlone: /podman|kubectl|crictl|\bctr\b/, // `run -e DB_PASS=x`, `login -p x`, `create secret … --from-literal`
  },
  { path: 'agent/run-bramble.txt', kind: 'listing', folder: '/run/bramble' },
  { path: 'agent/pending.txt', kind: 'listing', folder: '/run/bramble/pending' },
  file('agent/view.json', '/run/bramble/view.json'),
  file('agent/freed', '/run/bramble/freed'),
  program('agent/unit.txt', 'systemctl status --no-pager --full bramble-agent', 'systemd'),
  program('agent/journal.txt', 'journalctl --no-pager --unit bramble-agent --lines 3000 --output cat', 'systemd'),
  { path: 'agent/logs', kind: 'folder', folder: '/var/log/pods', names: /^kube-system_bramble-.*\.log$/ },

  { path: 'config/bramble', kind: 'folder', folder: '/etc/bramble', names: CONFIGURATION },
  { path: 'config/net.d', kind: 'folder', folder: '/etc/cni/net.d', names: CONFIGURATION },
  { path: 'config/net.d.txt', kind: 'listing', folder: '/etc/cni/net.d' },
  { path: 'config/cni-bin.txt', kind: 'listing', folder: '/opt/cni/bin' },
  // As the node's are seen in the agent's pod.
  { path: 'config/host-net.d', kind: 'folder', folder: '/host/etc/cni/net.d', names: CONFIGURATION },
  { path: 'config/host-net.d.txt', kind: 'listing', folder: '/host/etc/cni/net.d' },
  { path: 'config/host-cni-bin.txt', kind: 'listing', folder: '/host/opt/cni/bin' },
  {
    path: 'config/k3s-net.d',
    kind: 'folder',
    folder: '/var/lib/rancher/k3s/agent/etc/cni/net.d',
    names: CONFIGURATION,
  },
  file('config/containerd.toml', '/etc/containerd/config.toml'),
  file('config/resolv.conf', '/etc/resolv.conf'),

  program('network/links.txt', 'ip -d -s link', 'iproute2', 'ip link'),
  program('network/addresses.txt', 'ip -d address', 'iproute2', 'ip address'),
  program('network/routes-ipv4.txt', 'ip -d -4 route show table all', 'iproute2', 'ip -4 route show table all'),
  program('network/routes-ipv6.txt', 'ip -d -6 route show table all', 'iproute2', 'ip -6 route show table all'),
  program('network/rules-ipv4.txt', 'ip -4 rule', 'iproute2'),
  program('network/rules-ipv6.txt', 'ip -6 rule', 'iproute2'),
  program('network/neighbours.txt', 'ip -s neighbour', 'iproute2', 'ip neighbour'),
  program('network/fdb.txt', 'bridge fdb', 'iproute2'),
  program('network/namespaces.txt', 'ip netns', 'iproute2'),
  program('network/qdiscs.txt', 'tc -s qdisc', 'iproute2'),
  program('network/listening.txt', 'ss -lntu', 'iproute2'),
  program('network/nftables.txt', 'nft -a list ruleset', 'nftables'),
  program('network/iptables.txt', 'iptables-save -c', 'iptables'),
  program('network/ip6tables.txt', 'ip6tables-save -c', 'iptables'),
  program('network/iptables-legacy.txt', 'iptables-legacy-save -c', 'iptables'),
  program('network/ip6tables-legacy.txt', 'ip6tables-legacy-save -c', 'iptables'),
  program('network/wireguard.txt', 'wg show', 'wireguard-tools'), // hides private keys
  {
    path: 'network/settings.txt',
    kind: 'settings',
    patterns: [
      ...['ip_forward', 'ping_group_range', 'ip_local_port_range', 'fib_multipath_hash_policy'].map(ipv4),
      ...['forwarding', 'rp_filter', 'proxy_arp', 'arp_ignore', 'arp_announce', 'accept_local', 'src_valid_mark'].map(
        (name) => ipv4(`conf/*/${name}`),
      ),
      ...['forwarding', 'accept_ra', 'accept_dad', 'disable_ipv6', 'proxy_ndp', 'addr_gen_mode'].map((name) =>
        ipv6(`conf/*/${name}`),
      ),
      ...['gc_thresh1', 'gc_thresh2', 'gc_thresh3'].flatMap((name) => [
        ipv4(`neigh/default/${name}`),
        ipv6(`neigh/default/${name}`),
      ]),
      ...['count', 'max', 'buckets', 'tcp_be_liberal', 'checksum'].map((name) => `net/netfilter/nf_conntrack_${name}`),
      'net/bridge/*',
      ...['netdev_max_backlog', 'rmem_max', 'wmem_max', 'somaxconn'].map((name) => `net/core/${name}`),
      ...['net_namespaces', 'user_namespaces'].map((name) => `user/max_${name}`),
      'vm/overcommit_memory',
    ],
  },
  ...PROC_NET.map((name) => file(`network/proc/${name.replace('/', '-')}`, `/proc/net/${name}`)),

  program('system/uname.txt', 'uname -a'),
  file('system/os-release', '/etc/os-release'),
  ...[
    'version',
    'cmdline',
    'cpuinfo',
    'meminfo',
    'loadavg',
    'uptime',
    'modules',
    'mounts',
    'cgroups',
    'filesystems',
  ].map((name) => file(`system/proc/${name}`, `/proc/${name}`)),
  file('system/model', '/proc/device-tree/model'),
  file('system/boot/cmdline.txt', '/boot/firmware/cmdline.txt'),
  file('system/boot/config.txt', '/boot/firmware/config.txt'),
  program('system/disks.txt', 'df -h'),
  program('system/clock.txt', 'timedatectl', 'systemd'),
  program('system/kernel-log.txt', 'journalctl --no-pager --dmesg --lines 1000', 'systemd'),
]

function ipv4(name: string): string {
  return `net/ipv4/${name}`
}

function ipv6(name: string): string {
  return `net/ipv6/${name}`
}
