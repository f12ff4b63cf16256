import type { ClusterNode } from '../cluster/view.ts'
import type { Workloads } from '../cluster/workloads.ts'

/** Of `--policy-mode`: `default`: pods that no policy selects are open; `always`: they are closed; `never`: nothing is dropped, all is counted. */
export const POLICY_MODES = ['default', 'always', 'never'] as const
export type PolicyMode = (typeof POLICY_MODES)[number]

/** A pod that this node has wired. */
export interface LocalPod {
  /** `namespace/name`; undefined for a container that no Kubernetes has: no policy is about it. */
  readonly pod: string | undefined
  /** As the runtime was told it, where it was: a pod of the same name with another uid is another pod. */
  readonly uid: string | undefined
  /** Of the node's end. */
  readonly link: string
  /** Of the pod's end: with its addresses the only one that it may send from. */
  readonly mac: string
  /** At most one of each family. */
  readonly addresses: readonly string[]
  /** Its labels, or the policies, are not known (yet). */
  readonly isUnknown: boolean
}

/** UDP: where the nodes take packets of tunnels. */
export interface TunnelPorts {
  readonly vxlan: number
  readonly wireguard: number
}

/** Everything that the rules of one node follow from. */
export interface PolicyInput {
  readonly workloads: Workloads
  readonly nodes: ReadonlyMap<string, ClusterNode>
  readonly nodeName: string
  /** All that this machine has at this moment, where somebody asks: its Node object tells of some. */
  readonly ownAddresses?: ReadonlySet<string>
  /** By link. */
  readonly localPods: ReadonlyMap<string, LocalPod>
  readonly mode: PolicyMode
  /** Unknown pods are open until they are known, instead of closed. */
  readonly failsOpen: boolean
  readonly tunnelPorts: TunnelPorts
}
