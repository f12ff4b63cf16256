import type { MtuReport } from '../api/mtu-report.ts'
import type { Encapsulation } from '../kernel/modules.ts'

/** All that the doctor knows of a node when it judges. Values only: how each is found out is in facts/. */
export interface Facts {
  readonly machine: Machine
  readonly clock: Clock
  readonly power: Power
  readonly cgroups: Cgroups
  readonly storage: Storage
  readonly kernel: KernelFeatures
  readonly settings: Settings
  readonly firewall: Firewall
  readonly network: Network
  readonly keepers: LinkKeepers
  readonly cni: CniFiles
  readonly dns: Dns
  readonly agent: AgentState
  readonly paths: Paths
}

/** A fact, or why it could not be found out: no failure keeps the rest of the doctor from working. */
export type Known<T> = { readonly value: T } | { readonly unknown: string }

export type GatheredFacts = { readonly [Name in keyof Facts]: Known<Facts[Name]> }

export interface Machine {
  /** Of bramblectl, which comes with the agent. */
  readonly version: string
  /** /etc/os-release, or empty. */
  readonly osRelease: string
  /** As `uname -r` says. */
  readonly kernelRelease: string
  /** `Raspberry Pi 5 Model B Rev 1.0`; empty where the machine has no device tree. */
  readonly model: string
  readonly pageBytes: number
  /** A Raspberry Pi's config.txt, where the kernel with pages of 4 KiB (kernel8.img) lies beside it. */
  readonly smallPagesConfig: string | undefined
}

export interface Clock {
  readonly nowMs: number
  /** The kernel's word; undefined where it cannot be asked. */
  readonly isSynchronised: boolean | undefined
  readonly hasRtc: boolean
}

export interface Power {
  /** The firmware's bits; undefined on what is no Raspberry Pi. */
  readonly throttled: number | undefined
}

export interface Cgroups {
  readonly version: 1 | 2
  readonly hasMemory: boolean
  /** Where the kernel's command line is written; undefined on what is no Raspberry Pi. */
  readonly commandLineFile: string | undefined
}

export interface Storage {
  /** The device that / is on: `/dev/mmcblk0p2`, `overlay`. */
  readonly rootDevice: string
  readonly fileSystems: readonly FileSystem[]
  readonly journal: 'persistent' | 'volatile' | 'none'
  /** Devices and files that memory is paged out to. */
  readonly swaps: readonly string[]
  /** What the agent has written to disks since it started; undefined where it is away or nobody knows. */
  readonly agentWrittenBytes: number | undefined
  /** How much of its memory is paged out. */
  readonly agentSwappedBytes: number | undefined
}

export interface FileSystem {
  /** What is kept there. */
  readonly path: string
  readonly freeBytes: number
  /** Infinity where it counts none. */
  readonly freeFiles: number
}

export interface KernelFeatures {
  /** By kind: why it is not possible, and what to do. Only what is or may be wanted is tried. */
  readonly missingTunnels: ReadonlyMap<Encapsulation, string>
  readonly wantsTunnels: readonly Encapsulation[]
  /** What was refused in a scratch namespace. */
  readonly refused: readonly { readonly feature: string; readonly module: string; readonly error: string }[]
}

export interface Settings {
  /** undefined: the kernel has none. */
  readonly forwarding: { readonly 4: string | undefined; readonly 6: string | undefined }
  /** By link, what is in force: the larger one of its own and that of `all` (Documentation/networking/ip-sysctl.rst). */
  readonly reversePathFilter: ReadonlyMap<string, number>
  readonly conntrack: { readonly count: number; readonly max: number } | undefined
}

export interface Firewall {
  readonly chains: readonly FirewallChain[]
  /** The whole text of the tables that may drop what is forwarded, by name: `ip filter`; those of iptables-legacy as `legacy ip filter`. */
  readonly texts: ReadonlyMap<string, string>
  /** Tables in which iptables-legacy has rules, as `ip filter`. */
  readonly legacyTables: readonly string[]
  /** Chains in them; empty where there are none, or no iptables-legacy to ask. */
  readonly legacyChains: readonly FirewallChain[]
  /** Tables of iptables-legacy that are there, and that nobody here can show: no iptables-legacy-save. */
  readonly unseenTables: readonly string[]
  /** The names of sets for rules of iptables. */
  readonly ipsets: readonly string[]
}

export interface FirewallChain {
  /** `ip filter` */
  readonly table: string
  readonly name: string
  /** `forward`; undefined for chains that others jump to. */
  readonly hook?: string
  readonly policy?: string
  /** Its last rule drops or rejects everything. */
  readonly isClosed?: boolean
}

export interface Network {
  readonly links: readonly NodeLink[]
  /** With a destination on a link, or behind a router; none of ours. */
  readonly routes: readonly NodeRoute[]
  /** Routes into nothing; none of ours. */
  readonly blackholes: readonly Blackhole[]
  /** By which packets look up routes elsewhere than in the main table; none of ours. */
  readonly rules: readonly RoutingRule[]
}

export interface NodeLink {
  readonly name: string
  readonly kind: string
  readonly isOurs: boolean
  readonly isWireless: boolean
  /** A default route leaves over it. */
  readonly isUplink: boolean
  /** Other links are ports of it, as of a bridge. */
  readonly hasPorts: boolean
  /** With their lengths: `192.168.1.2/24`. */
  readonly addresses: readonly string[]
}

export interface NodeRoute {
  readonly destination: string
  readonly link: string
}

export interface RoutingRule {
  readonly family: 4 | 6
  readonly priority: number
  readonly table: number
  /** 0: it does not look at it. */
  readonly mark: number
}

export interface Blackhole {
  readonly destination: string
  /** RTPROT_*: by it routing programs know theirs. */
  readonly protocol: number
}

/** Programs that take links in hand unasked. */
export interface LinkKeepers {
  readonly networkManager: { readonly runs: boolean; readonly leavesOurs: boolean }
  readonly networkd: { readonly runs: boolean; readonly leavesOurs: boolean }
}

export interface CniFiles {
  readonly places: readonly CniPlace[]
  /** What containerd was told to look at, where it was told. */
  readonly runtime: { readonly file: string; readonly confDir?: string; readonly binDir?: string } | undefined
  /** Why that could not be looked up, as in the agent's pod. */
  readonly unseenRuntime: string | undefined
}

/** Where a runtime looks for its networks: the folders of Kubernetes, or k3s' own. */
export interface CniPlace {
  readonly confDir: string
  /** In the order in which a runtime takes them; the first one that is whole counts. */
  readonly configs: readonly CniConfig[]
  /** What else is there. */
  readonly others: readonly string[]
  readonly binDir: string
  /** Files in binDir that can be run. */
  readonly programs: readonly string[]
  /** What our plugin says; undefined where it is not there or does not run. */
  readonly pluginVersion: string | undefined
}

export interface CniConfig {
  readonly file: string
  /** Why it is none. */
  readonly error?: string
  readonly name: string
  /** Of the plugins in their order. */
  readonly types: readonly string[]
  /** Of those among them whom the runtime tells of hostPorts. */
  readonly portMappers: readonly string[]
}

export interface Dns {
  /** Of /etc/resolv.conf. */
  readonly servers: readonly string[]
  readonly search: readonly string[]
  /** The list that systemd-resolved keeps for others, with the servers themselves. */
  readonly hasUpstreamFile: boolean
  /** What DHCP gave (options 15 and 119). */
  readonly leasedDomains: readonly string[]
  /** The file by which systemd-networkd sets up the link that the first lease is of. */
  readonly networkFile: string | undefined
}

export interface AgentState {
  /** Its answers; undefined: it cannot be asked. */
  readonly answers:
    | {
        readonly version: string
        readonly isServing: boolean
        readonly podCidrs: readonly string[]
        readonly problems: readonly string[]
        /** What another program has changed in the table of policies within the hour, and is as it was again. */
        readonly rulesRepaired: readonly { readonly text: string; readonly secondsAgo: number }[]
        readonly pid: number
        /** This node's clock, from the API server's; below 0: behind. Absent: nobody has compared them. */
        readonly clockAheadSeconds?: number
        readonly peers: readonly {
          readonly node: string
          readonly podCidrs: readonly string[]
          readonly ways: readonly string[]
        }[]
        /** Between leases and kernel. */
        readonly differences: readonly string[]
      }
    | undefined
  /** Of this node, by the agent's word or, while it is away, that of its file. */
  readonly podCidrs: readonly string[]
  /** Why it cannot be asked; empty where it can. */
  readonly refusal: string
  /** The socket is another user's: nothing is wrong with the agent. */
  readonly isForbidden: boolean
  /** What it said last, where a log can be read. */
  readonly lastWords: readonly string[]
  /** Who starts and restarts it: systemd, or Kubernetes. */
  readonly runsAs: 'unit' | 'pod'
  /** Where these are from, as a command that shows more. */
  readonly logCommand: string
  /** DELs that found no agent. */
  readonly pendingDels: number
}

export interface Paths {
  readonly peers: MtuReport['peers']
  readonly tunnelEnds: readonly TunnelEnd[]
  /** Nodes that answer, and whose packets do not get here when they are as large as those nodes make them. */
  readonly largerPeers: readonly { readonly node: string; readonly address: string }[]
}

/** Another node's end of a tunnel, to which packets were sent through it. */
export interface TunnelEnd {
  readonly node: string
  /** `vxlan` */
  readonly way: string
  readonly address: string
  /** spoilt: only packets got there whose checksum no network card had to fill in. */
  readonly outcome: 'reached' | 'spoilt' | 'silent'
}
