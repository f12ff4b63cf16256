import type { Cidr } from '../../ipam/address.ts'

export const DATASTORES = ['local', 'kubernetes', 'redis'] as const

/** Where this node's cluster is told of, and what it needs to know to ask. */
export interface ClusterSettings {
  readonly datastore: (typeof DATASTORES)[number]
  readonly nodeName: string
  /** At most one of each family, IPv4 first; none where the cluster gives them out. */
  readonly podCidrs: readonly Cidr[]
  /** At most one of each family, IPv4 first. */
  readonly clusterCidrs: readonly Cidr[]
  /** Prefix lengths of a node's part of the cluster's CIDRs. */
  readonly nodeMasks: { readonly 4: number; readonly 6: number }
  /** The folder with the manifests of the cluster's nodes; absent: this node is alone. */
  readonly clusterDir?: string
  /** Absent: the pod's service account. */
  readonly kubeconfig?: string
  /** With --datastore redis. */
  readonly redis?: { readonly url: string; readonly tls: { caFile?: string; certFile?: string; keyFile?: string } }
  /** Where what was last heard is kept. */
  readonly stateDir: string
}
