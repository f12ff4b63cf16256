import { type Cidr, formatAddress } from '../../ipam/address.ts'
import type { Labels } from './policy.ts'
import type { ViewProblem } from './problem.ts'
import type { WorkloadSource } from './workloads.ts'

/** The ways to wrap packets between nodes; `ipip` stands for IPv6 in IPv4 (gre), too. */
export const ENCAPSULATIONS = ['vxlan', 'ipip', 'wireguard'] as const
export type Encapsulation = (typeof ENCAPSULATIONS)[number]

/** What a node's agent tells the others of itself. */
export interface Announcement {
  /** Those that its kernel can do. */
  readonly encapsulations: readonly Encapsulation[]
  readonly wireguard?: {
    /** 32 bytes in base64, as `wg` shows it. */
    readonly publicKey: string
    /** UDP. */
    readonly port: number
  }
}

/** A node of the cluster, as far as the others need to know it. */
export interface ClusterNode {
  readonly name: string
  /** At most one of each family. */
  readonly podCidrs: readonly Cidr[]
  /** Where the node is reached (InternalIP): at most one of each family. */
  readonly addresses: readonly string[]
  /** Since when the cluster has it (RFC 3339, UTC, to be compared as text); absent where nobody writes that down. What two nodes claim is the older one's. */
  readonly createdAt?: string
  /** Absent while no agent has told anything: the node may be new, or somebody wrote the manifest by hand. */
  readonly announcement?: Announcement
  /** Where policies select nodes by them; absent: none. */
  readonly labels?: Labels
  /** More addresses of the node (ExternalIP, a second InternalIP of a family): a policy that selects the node means them, too. */
  readonly otherAddresses?: readonly string[]
}

/** The first address of a node's pod CIDR, which no pod gets, is the node's own on the tunnels to the others. */
export function tunnelAddress({ family, first }: Cidr): string {
  return formatAddress(family, first)
}

/** The cluster at one moment. Immutable: a source that learns something makes a new one; a node that did not change is the same object in both. */
export interface ClusterView {
  readonly nodes: ReadonlyMap<string, ClusterNode>
  /** The addresses of Services, where the cluster says them; the same list while they are the same. */
  readonly serviceCidrs?: readonly Cidr[]
}

export const EMPTY_VIEW: ClusterView = { nodes: new Map() }

/** What a source has to say, each time that it changes. */
export interface ViewChange {
  /** undefined until everything has been listed once; what is wrong is told meanwhile. */
  readonly view: ClusterView | undefined
  /** The names of the nodes that came, went or changed since the last one; absent: any may have. */
  readonly changed?: ReadonlySet<string>
  /** All that is wrong now, the source itself being away among it. */
  readonly problems: readonly ViewProblem[]
}

/** Where the view comes from. */
export interface ClusterSource {
  /**
   * The pod CIDRs that this node has in the cluster. Waits for as long as it takes; what it waits for is told meanwhile.
   * Before start; may be asked again. @throws JoinError when waiting would not help
   */
  join(onProblems: (problems: readonly ViewProblem[]) => void): Promise<readonly Cidr[]>
  /**
   * Tells the others of this node, now and again whenever it may have been lost; called again when it changes.
   * @param addresses where this node is, for a cluster that has it from nobody else
   */
  announce(announcement: Announcement, addresses: readonly string[]): void
  /** Pods on this node have a network from now on: takes away what keeps them off it; absent: nobody asks. */
  tellNetworkIsUp?(): void
  /** What it asks, and where that is: an address or a name; absent: nothing on the network. */
  readonly server?: { readonly name: string; readonly host: string } | undefined
  /** By the clock of the server; absent: it has not told. */
  readonly clockMs?: number | undefined
  /** The addresses of Services, as far as they are known when `join` has returned; absent: it does not say. */
  readonly serviceCidrs?: readonly Cidr[] | undefined
  /** Where nodes stay until somebody removes them by hand; absent: they come and go otherwise. */
  readonly registry?: NodeRegistry | undefined
  /** Pods, namespaces and policies; absent: it has none, and every pod is open. */
  readonly workloads?: WorkloadSource | undefined
  /** What the nodes' agents tell people of themselves; absent: it keeps no such thing. */
  readonly board?: StatusBoard | undefined
  /** Listens from now on. While it is away the last view stays; it comes back by itself. */
  start(onChange: (change: ViewChange) => void): void
  close(): Promise<void>
}

/** What no node acts upon, and people on any node may look at. */
export interface StatusBoard extends EventSink {
  /** Of this node's agent, until it publishes another. */
  publish(text: string): void
  /** By the node's name; undefined: its agent has published nothing. */
  published(): ReadonlyMap<string, PublishedText | undefined>
  /** By the node's name: what the cluster says against it. */
  unready(): ReadonlyMap<string, NodeUnready>
  /** On all nodes; undefined: not known. */
  agentPods(): readonly AgentPod[] | undefined
}

/** A node that its cluster does not call Ready. */
export interface NodeUnready {
  /** Its kubelet says so itself. */
  readonly isHeard: boolean
  readonly message: string
  readonly sinceMs?: number
}

/** A pod that an agent runs in. */
export interface AgentPod {
  readonly namespace: string
  readonly name: string
  readonly nodeName: string
  readonly isReady: boolean
  readonly isLeaving: boolean
  /** For programs: `CrashLoopBackOff`, `ImagePullBackOff`, `Evicted`. */
  readonly reason?: string
  /** It is ready, or not. */
  readonly sinceMs?: number
}

export interface PublishedText {
  readonly text: string
  /** As performance.now() tells it; absent: before this agent listened. */
  readonly heardAtMs?: number
}

/** Where what befalls this node is told. */
export interface EventSink {
  /** @throws Error that says which right is missing, or what else is wrong */
  tell(event: NodeEvent): Promise<void>
}

export interface NodeEvent {
  /** One word for programs, in capitals as Kubernetes has them. */
  readonly reason: string
  readonly message: string
  /** It has happened so often since it was last told. */
  readonly times: number
}

/** The nodes that have, or had, pod CIDRs from the source. */
export interface NodeRegistry {
  listNodes(): Promise<RegisteredNode[]>
  /** @returns the pod CIDRs that are free now */
  removeNode(name: string, options: { readonly isForced: boolean }): Promise<readonly string[]>
}

export interface RegisteredNode {
  readonly name: string
  readonly podCidrs: readonly string[]
  readonly addresses: readonly string[]
  /** By the clock of the source, when its agent was there last; absent: not since the source lost its data. */
  readonly secondsAgo?: number
}

/** This node cannot be part of the cluster as it is; the message says what to change. */
export class JoinError extends Error {
  override readonly name = 'JoinError'
  readonly code = 'JOIN' as const
}
