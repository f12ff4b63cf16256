import type { CniPlace, Facts, FirewallChain, GatheredFacts, NodeLink } from '../../../agent/doctor/facts.ts'

/** A node on which all is well, and that has a peer: cases say how theirs differs. */

export const UPLINK: NodeLink = {
  name: 'eth0',
  kind: '',
  isOurs: false,
  isWireless: false,
  isUplink: true,
  hasPorts: false,
  addresses: ['192.168.1.1/24', 'fe80::1/64'],
}

export const PLACE: CniPlace = {
  confDir: '/etc/cni/net.d',
  configs: [{ file: '10-bramble.conflist', name: 'bramble', types: ['bramble', 'portmap'], portMappers: ['bramble'] }],
  others: [],
  binDir: '/opt/cni/bin',
  programs: ['bramble', 'loopback', 'portmap'],
  pluginVersion: '0.1.0',
}

export const HEALTHY: Facts = {
  machine: {
    version: '0.1.0',
    osRelease: 'ID=debian\n',
    kernelRelease: '6.12.47+rpt-rpi-v8',
    model: 'Raspberry Pi 4 Model B Rev 1.5',
    pageBytes: 4096,
    smallPagesConfig: '/boot/firmware/config.txt',
  },
  clock: { nowMs: Date.UTC(2026, 10, 21), isSynchronised: true, hasRtc: false },
  power: { throttled: 0 },
  cgroups: { version: 2, hasMemory: true, commandLineFile: '/boot/firmware/cmdline.txt' },
  storage: {
    rootDevice: '/dev/mmcblk0p2',
    fileSystems: [{ path: '/run', freeBytes: 2 ** 28, freeFiles: 1e5 }],
    journal: 'volatile',
    swaps: ['/dev/zram0'],
    agentWrittenBytes: 0,
    agentSwappedBytes: 0,
  },
  kernel: { missingTunnels: new Map(), wantsTunnels: ['vxlan'], refused: [] },
  settings: {
    forwarding: { 4: '1', 6: '1' },
    reversePathFilter: new Map([
      ['eth0', 2],
      ['brm0123456789ab', 1],
    ]),
    conntrack: { count: 1_000, max: 131_072 },
  },
  firewall: { chains: [], texts: new Map(), legacyTables: [], legacyChains: [], unseenTables: [], ipsets: [] },
  network: {
    links: [
      UPLINK,
      { ...UPLINK, name: 'bramble.vxlan', kind: 'vxlan', isOurs: true, isUplink: false, addresses: ['10.42.1.0/32'] },
    ],
    routes: [
      { destination: '0.0.0.0/0', link: 'eth0' },
      { destination: '192.168.1.0/24', link: 'eth0' },
    ],
    blackholes: [],
    rules: [],
  },
  keepers: { networkManager: { runs: true, leavesOurs: true }, networkd: { runs: true, leavesOurs: true } },
  cni: { places: [PLACE], runtime: { file: '/etc/containerd/config.toml' }, unseenRuntime: undefined },
  dns: {
    servers: ['127.0.0.53'],
    search: ['home.arpa'],
    hasUpstreamFile: true,
    leasedDomains: ['home.arpa'],
    networkFile: '/etc/systemd/network/10-eth0.network',
  },
  agent: {
    answers: {
      version: '0.1.0',
      isServing: true,
      podCidrs: ['10.42.1.0/24', 'fd42:0:0:1::/64'],
      problems: [],
      rulesRepaired: [],
      pid: 7,
      peers: [{ node: 'pi-2', podCidrs: ['10.42.2.0/24'], ways: ['vxlan'] }],
      differences: [],
    },
    podCidrs: ['10.42.1.0/24', 'fd42:0:0:1::/64'],
    refusal: '',
    isForbidden: false,
    lastWords: [],
    runsAs: 'unit',
    logCommand: 'systemctl status bramble-agent',
    pendingDels: 0,
  },
  paths: {
    peers: [{ node: 'pi-2', way: 'vxlan', address: '192.168.2.2', neededBytes: 1500, measuredBytes: 1500 }],
    tunnelEnds: [{ node: 'pi-2', way: 'vxlan', address: '10.42.2.0', outcome: 'reached' }],
    largerPeers: [],
  },
}

/** All of them found out. */
export function gathered(facts: Facts): GatheredFacts {
  const entries = Object.entries(facts).map(([name, value]) => [name, { value }])
  return Object.fromEntries(entries)
}

/** On a node whose files for the runtime differ so. */
export function place(change: Partial<typeof PLACE>): Pick<Facts, 'cni'> {
  return { cni: { ...HEALTHY.cni, places: [{ ...PLACE, ...change }] } }
}

export const FLANNEL = {
  file: '05-flannel.conflist',
  name: 'cbr0',
  types: ['flannel', 'portmap'],
  portMappers: ['portmap'],
}

/** A link of somebody else. */
export function foreignLink(name: string, change: Partial<NodeLink> = {}): NodeLink {
  return { ...UPLINK, name, isUplink: false, addresses: [], ...change }
}

export function chainsOf(...names: string[]): FirewallChain[] {
  return names.map((name) => ({ table: 'ip filter', name }))
}
