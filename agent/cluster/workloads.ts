import type { Labels, Policy, Protocol } from './policy.ts'
import type { ViewProblem } from './problem.ts'

/** A pod anywhere in the cluster, as far as policies look at it. */
export interface ClusterPod {
  readonly namespace: string
  readonly name: string
  /** Another one when a pod of the same name is made again; '' in manifests that have none. */
  readonly uid: string
  /** '' while it has no place. */
  readonly nodeName: string
  readonly labels: Labels
  /** status.podIPs, as the kernel writes them; none while it has not started, and none once it has ended. */
  readonly addresses: readonly string[]
  /** Its addresses are its node's. */
  readonly isHostNetwork: boolean
  /** Those containers' ports that have a name. */
  readonly ports: readonly NamedPort[]
}

export interface NamedPort {
  readonly name: string
  readonly protocol: Protocol
  readonly number: number
}

export interface ClusterNamespace {
  readonly name: string
  /** `kubernetes.io/metadata.name` is always among them. */
  readonly labels: Labels
}

/** What policies are about, and the policies, at one moment. Immutable; what did not change is the same object before and after. */
export interface Workloads {
  /** By `namespace/name`. */
  readonly pods: ReadonlyMap<string, ClusterPod>
  readonly namespaces: ReadonlyMap<string, ClusterNamespace>
  /** By policyId. */
  readonly policies: ReadonlyMap<string, Policy>
}

export const NO_WORKLOADS: Workloads = { pods: new Map(), namespaces: new Map(), policies: new Map() }

/** The keys of what came, went or changed. */
export interface ChangedWorkloads {
  readonly pods: ReadonlySet<string>
  readonly namespaces: ReadonlySet<string>
  readonly policies: ReadonlySet<string>
}

export interface WorkloadChange {
  /** undefined until everything has been listed once. */
  readonly workloads: Workloads | undefined
  /** Since the last one; absent: anything may have. */
  readonly changed?: ChangedWorkloads
  /** All that is wrong now: objects, fields of policies that are not done, the source being away. */
  readonly problems: readonly ViewProblem[]
}

/** Where pods, namespaces and policies come from. */
export interface WorkloadSource {
  /**
   * What it does not tell of does not exist: a pod that it does not know is one without labels, and nobody waits for it (a
   * folder of manifests). Otherwise such a pod is one that it has yet to hear of (the API server).
   */
  readonly isComplete: boolean
  /** Listens from now on; while the source is away the last word stays. */
  start(onChange: (change: WorkloadChange) => void): void
  /**
   * Asks for one pod at once, where the watch may be late. What it finds is told to whoever listens as well.
   * @returns undefined when there is no such pod, or when the source needs no asking since it is complete
   */
  ask(namespace: string, name: string, signal: AbortSignal): Promise<ClusterPod | undefined>
  close(): Promise<void>
}

/** The source could not be asked for a pod, or did not answer what one can use; the message says why. */
export class AskError extends Error {
  override readonly name = 'AskError'
  readonly code = 'ASK' as const
}
