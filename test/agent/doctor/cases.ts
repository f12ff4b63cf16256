import type { Facts, TunnelEnd } from '../../../agent/doctor/facts.ts'
import type { Severity } from '../../../agent/doctor/finding.ts'
import { HEALTHY, PLACE, UPLINK } from './healthy.ts'

/** One thing that is not well, and what the doctor is to say of it. */
export interface Case {
  readonly title: string
  readonly check: string
  /** What differs from HEALTHY. */
  readonly facts: Partial<Facts>
  /** Of each finding of this check: none where what looks like trouble is not. */
  readonly says: readonly (readonly [Severity, RegExp])[]
  /** All of its commands, where they matter. */
  readonly commands?: readonly string[]
}

const { agent, cgroups, cni, dns, firewall, kernel, keepers, machine, network, paths, settings, storage } = HEALTHY
const answers = agent.answers as NonNullable<typeof agent.answers>
const place = (change: Partial<typeof PLACE>) => ({ cni: { ...cni, places: [{ ...PLACE, ...change }] } })
const away = { ...agent, answers: undefined, refusal: 'no agent listens on /run/bramble/agent.sock' }
const flannel = { file: '05-flannel.conflist', name: 'cbr0', types: ['flannel', 'portmap'] }
const link = (name: string, change: Partial<typeof UPLINK> = {}) => ({
  ...UPLINK,
  name,
  isUplink: false,
  addresses: [],
  ...change,
})
const forwardDrop = { table: 'ip filter', name: 'FORWARD', hook: 'forward', policy: 'drop' }
const chains = (...names: string[]) => names.map((name) => ({ table: 'ip filter', name }))

const end = (node: string, outcome: TunnelEnd['outcome']): TunnelEnd => ({
  node,
  way: 'vxlan',
  address: '10.42.2.0',
  outcome,
})

export const CASES: readonly Case[] = [
  {
    title: 'an agent that does not run, with what it said last',
    check: 'agent-away',
    facts: { agent: { ...away, lastWords: ['bramble-agent: --pod-cidr is missing'] } },
    says: [['error', /is away: no agent listens on .*agent\.sock/]],
    commands: ['systemctl status bramble-agent'],
  },
  {
    title: 'whoever is not root is told to be, and not that the agent is away',
    check: 'agent-away',
    facts: { agent: { ...away, isForbidden: true } },
    says: [],
  },
  {
    title: 'whoever is not root',
    check: 'not-root',
    facts: { agent: { ...away, isForbidden: true } },
    says: [['warning', /answer root alone/]],
    commands: ['sudo bramblectl doctor'],
  },
  {
    title: 'an agent that waits for its pod CIDR says why',
    check: 'agent-waits',
    facts: {
      agent: {
        ...agent,
        answers: {
          ...answers,
          isServing: false,
          problems: ['the agent does not serve yet', 'Node pi-1: has no podCIDR'],
        },
      },
    },
    says: [['error', /does not serve yet: Node pi-1: has no podCIDR/]],
  },
  {
    title: 'what the agent complains of',
    check: 'agent-problems',
    facts: { agent: { ...agent, answers: { ...answers, problems: ['no address is free in 10.42.1.0/24', 'second'] } } },
    says: [
      ['error', /no address is free/],
      ['error', /second/],
    ],
  },
  {
    title: 'leases and kernel that differ',
    check: 'leases-differ',
    facts: { agent: { ...agent, answers: { ...answers, differences: ['10.42.1.7: no route', 'another'] } } },
    says: [['warning', /^2 differences .*10\.42\.1\.7: no route/]],
    commands: ['bramblectl ipam check'],
  },
  {
    title: 'containers that went while the agent was away',
    check: 'pending-dels',
    facts: { agent: { ...away, pendingDels: 3 } },
    says: [['note', /^3 containers went/]],
  },
  {
    title: 'DELs that wait for a moment while it is there are no finding',
    check: 'pending-dels',
    facts: { agent: { ...agent, pendingDels: 1 } },
    says: [],
  },
  {
    title: 'a plugin and an agent of an older version',
    check: 'version-skew',
    facts: { ...place({ pluginVersion: '0.0.9' }), agent: { ...agent, answers: { ...answers, version: '0.0.8' } } },
    says: [['warning', /the agent is 0\.0\.8, the plugin \/opt\/cni\/bin\/bramble is 0\.0\.9; bramblectl is 0\.1\.0/]],
  },
  {
    title: 'no configuration of ours',
    check: 'conflist-missing',
    facts: place({ configs: [flannel] }),
    says: [['error', /in \/etc\/cni\/net\.d names bramble/]],
  },
  {
    title: 'the configuration of another network comes first',
    check: 'conflist-order',
    facts: place({ configs: [flannel, ...PLACE.configs] }),
    says: [['error', /05-flannel\.conflist \(network cbr0: flannel, portmap\) comes before/]],
    commands: ['mv /etc/cni/net.d/05-flannel.conflist /etc/cni/net.d/05-flannel.conflist.disabled'],
  },
  {
    title: 'Multus, which calls us in its turn, may come first',
    check: 'conflist-order',
    facts: place({ configs: [{ file: '00-multus.conf', name: 'multus', types: ['multus-shim'] }, ...PLACE.configs] }),
    says: [],
  },
  {
    title: 'one that is broken comes first: what counts is the first that is whole',
    check: 'conflist-order',
    facts: place({ configs: [{ ...flannel, error: 'it is empty', types: [] }, ...PLACE.configs] }),
    says: [],
  },
  {
    title: 'the name of a file is no command',
    check: 'conflist-order',
    facts: place({ configs: [{ ...flannel, file: "0'$(reboot).conf" }, ...PLACE.configs] }),
    says: [['error', /reboot/]],
    commands: [`mv '/etc/cni/net.d/0'\\''$(reboot).conf' '/etc/cni/net.d/0'\\''$(reboot).conf.disabled'`],
  },
  {
    title: 'a configuration that a power cut has emptied',
    check: 'conflist-broken',
    facts: place({ configs: [...PLACE.configs, { ...flannel, error: 'it is empty', types: [] }] }),
    says: [['warning', /05-flannel\.conflist is no network configuration: it is empty/]],
  },
  {
    title: 'no plugin',
    check: 'plugin-missing',
    facts: place({ programs: ['portmap'], pluginVersion: undefined }),
    says: [['error', /no plugin \/opt\/cni\/bin\/bramble/]],
  },
  {
    title: 'a plugin that does not run',
    check: 'plugin-missing',
    facts: place({ pluginVersion: undefined }),
    says: [['error', /\/opt\/cni\/bin\/bramble does not run/]],
  },
  {
    title: 'a plugin of the chain that is not there',
    check: 'chained-plugin-missing',
    facts: place({ programs: ['bramble'] }),
    says: [['error', /10-bramble\.conflist chains portmap, which is not in \/opt\/cni\/bin/]],
    commands: ['apt install containernetworking-plugins', 'cp /usr/lib/cni/portmap /opt/cni/bin/'],
  },
  {
    title: 'the same on Alpine, which has them in another package and folder',
    check: 'chained-plugin-missing',
    facts: { ...place({ programs: ['bramble'] }), machine: { ...machine, osRelease: 'ID=alpine\n' } },
    says: [['error', /portmap/]],
    commands: ['apk add cni-plugins', 'cp /usr/libexec/cni/portmap /opt/cni/bin/'],
  },
  {
    title: 'what another network chains is its own affair',
    check: 'chained-plugin-missing',
    facts: place({ configs: [flannel, ...PLACE.configs], programs: ['bramble'] }),
    says: [],
  },
  {
    title: 'a containerd that looks elsewhere',
    check: 'runtime-paths',
    facts: {
      cni: {
        ...cni,
        runtime: { file: '/etc/containerd/config.toml', confDir: '/etc/cni/k8s', binDir: '/opt/cni/bin' },
      },
    },
    says: [['error', /config\.toml says conf_dir = \/etc\/cni\/k8s; Bramble is in \/etc\/cni\/net\.d/]],
  },
  {
    title: 'a tunnel that is in use and cannot be made, with the package of the distribution',
    check: 'tunnel-missing',
    facts: {
      kernel: {
        ...kernel,
        missingTunnels: new Map([
          [
            'vxlan',
            'this kernel (5.15.0-1040-raspi) has no vxlan (module vxlan, CONFIG_VXLAN): run "apt install linux-modules-extra-raspi" and "modprobe vxlan"; else reboot',
          ],
        ]),
      },
    },
    says: [['error', /vxlan is not possible: this kernel \(5\.15\.0-1040-raspi\) has no vxlan/]],
    commands: ['apt install linux-modules-extra-raspi', 'modprobe vxlan'],
  },
  {
    title: 'a tunnel that nobody uses yet',
    check: 'tunnel-missing',
    facts: { kernel: { ...kernel, missingTunnels: new Map([['vxlan', 'no vxlan: reboot']]), wantsTunnels: [] } },
    says: [['warning', /vxlan/]],
  },
  {
    title: 'a kernel that refuses what masquerading needs',
    check: 'kernel-feature',
    facts: { kernel: { ...kernel, refused: [{ feature: 'masquerading', module: 'nft_masq', error: 'ENOENT' }] } },
    says: [['error', /refuses masquerading: ENOENT/]],
    commands: ['modprobe nft_masq'],
  },
  {
    title: "Docker's FORWARD DROP",
    check: 'forward-drop',
    facts: { firewall: { ...firewall, chains: [forwardDrop, ...chains('DOCKER', 'DOCKER-USER')] } },
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
    title: 'ufw, which is told by pod CIDRs',
    check: 'forward-drop',
    facts: { firewall: { ...firewall, chains: [forwardDrop, ...chains('ufw-user-forward')] } },
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
    title: 'rules of both kinds of iptables',
    check: 'iptables-mixed',
    facts: { firewall: { ...firewall, chains: chains('FORWARD'), legacyTables: ['ip nat'] } },
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
      network: { ...network, links: [UPLINK, link('wlan0', { addresses: ['192.168.1.201/24'] })] },
      settings: { ...settings, reversePathFilter: new Map([['wlan0', 1]]) },
    },
    says: [['warning', /wlan0 has strict/]],
    commands: [
      'sysctl -w net/ipv4/conf/wlan0/rp_filter=2',
      'echo net/ipv4/conf/wlan0/rp_filter=2 > /etc/sysctl.d/90-rp-filter.conf',
    ],
  },
  {
    title: 'strict rp_filter in networks of their own is what it is for',
    check: 'rp-filter',
    facts: {
      network: { ...network, links: [UPLINK, link('eth1', { addresses: ['192.168.2.1/24'] })] },
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
  {
    title: "flannel's links, with a route that still leads there",
    check: 'leftover-links',
    facts: {
      network: {
        links: [UPLINK, link('flannel.1'), link('cni0')],
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
    facts: place({ configs: [...PLACE.configs, { ...flannel, file: '80-flannel.conflist' }] }),
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
            link(name),
          ),
          link('tunl0', { addresses: ['10.244.1.1/32'] }),
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
      ...place({ configs: [flannel] }),
      network: { ...network, links: [link('tunl0'), link('flannel.1'), link('cni0')] },
    },
    says: [],
  },
  {
    title: 'chains of flannel, and a table of Calico',
    check: 'leftover-rules',
    facts: {
      firewall: {
        ...firewall,
        chains: [...chains('FORWARD', 'FLANNEL-FWD'), { table: 'ip6 calico', name: 'anything' }],
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
    title: 'a node that is away as a whole has no silent tunnel besides',
    check: 'tunnel-silent',
    facts: {
      paths: {
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
  {
    title: 'a clock that was never set',
    check: 'clock',
    facts: { clock: { nowMs: Date.UTC(1970, 0, 1), isSynchronised: false, hasRtc: false } },
    says: [['error', /says 1970-01-01 00:00, before this version was made, and the board has no clock/]],
  },
  {
    title: 'a clock that nobody keeps right',
    check: 'clock',
    facts: { clock: { nowMs: Date.UTC(2026, 10, 21), isSynchronised: false, hasRtc: true } },
    says: [['warning', /not synchronised$/]],
  },
  {
    title: 'a supply that is too weak now',
    check: 'under-voltage',
    facts: { power: { throttled: 0x50005 } },
    says: [['error', /at this moment \(get_throttled 0x50005\)/]],
  },
  {
    title: 'a supply that was too weak',
    check: 'under-voltage',
    facts: { power: { throttled: 0x50000 } },
    says: [['warning', /at least once/]],
  },
  {
    title: 'a machine without such a firmware',
    check: 'under-voltage',
    facts: { power: { throttled: undefined } },
    says: [],
  },
  {
    title: 'no memory cgroup, as Raspberry Pi OS ships it',
    check: 'memory-cgroup',
    facts: { cgroups: { ...cgroups, hasMemory: false } },
    says: [['error', /no memory per cgroup/]],
    commands: ["sed -i '1s/$/ cgroup_enable=memory cgroup_memory=1/' /boot/firmware/cmdline.txt"],
  },
  {
    title: 'cgroup v1',
    check: 'cgroup-version',
    facts: { cgroups: { ...cgroups, version: 1 } },
    says: [['note', /cgroup v1/]],
  },
  {
    title: 'pages of 16 KiB on a Pi 5',
    check: 'page-size',
    facts: { machine: { ...machine, pageBytes: 16_384, model: 'Raspberry Pi 5 Model B Rev 1.0' } },
    says: [['note', /16 KiB \(Raspberry Pi 5/]],
    commands: ['echo kernel=kernel8.img >> /boot/firmware/config.txt'],
  },
  {
    title: 'file systems without room, and without files',
    check: 'no-space',
    facts: {
      storage: {
        ...storage,
        fileSystems: [
          { path: '/run', freeBytes: 2 ** 21, freeFiles: 100 },
          { path: '/var/log', freeBytes: 2 ** 40, freeFiles: 0 },
          { path: '/', freeBytes: 2 ** 40, freeFiles: Infinity },
        ],
      },
    },
    says: [
      ['error', /\/run is full: 2 MiB are free/],
      ['error', /\/var\/log is full: no file can be added/],
    ],
  },
  {
    title: 'a journal on the SD card',
    check: 'sd-card-journal',
    facts: { storage: { ...storage, journal: 'persistent' } },
    says: [['note', /journal is kept on the SD card/]],
  },
  {
    title: 'a journal on another disk',
    check: 'sd-card-journal',
    facts: { storage: { ...storage, journal: 'persistent', rootDevice: '/dev/nvme0n1p2' } },
    says: [],
  },
  {
    title: 'memory that is paged out to the SD card',
    check: 'sd-card-swap',
    facts: { storage: { ...storage, swaps: ['/var/swap', '/dev/zram0'] } },
    says: [['warning', /SD card: \/var\/swap$/]],
    commands: ['swapoff /var/swap'],
  },
  {
    title: 'an agent that writes to disks',
    check: 'agent-writes',
    facts: { storage: { ...storage, agentWrittenBytes: 3 * 2 ** 20 } },
    says: [['warning', /has written 3\.0 MiB/]],
  },
  {
    title: 'an agent that is paged out',
    check: 'agent-paged-out',
    facts: { storage: { ...storage, agentSwappedBytes: 30 * 2 ** 20 } },
    says: [['warning', /^30 MiB of the agent are paged out/]],
  },
]
