/** Kubernetes objects as they are written, as far as policies look at them. */

export interface RawCluster {
  readonly pods: readonly RawPod[]
  readonly namespaces: readonly RawNamespace[]
  readonly nodes: readonly RawNode[]
  readonly policies: readonly (RawNetworkPolicy | RawClusterNetworkPolicy)[]
}

export interface RawMetadata {
  readonly name: string
  readonly namespace?: string
  readonly uid?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

export interface RawPod {
  readonly apiVersion: 'v1'
  readonly kind: 'Pod'
  readonly metadata: RawMetadata
  readonly spec: {
    readonly nodeName?: string
    readonly hostNetwork?: boolean
    readonly containers: readonly RawContainer[]
    readonly initContainers?: readonly RawContainer[]
  }
  readonly status?: { readonly phase?: string; readonly podIPs?: readonly { readonly ip: string }[] }
}

export interface RawContainer {
  readonly name: string
  readonly restartPolicy?: string
  readonly ports?: readonly { readonly name?: string; readonly protocol?: string; readonly containerPort: number }[]
}

export interface RawNamespace {
  readonly apiVersion: 'v1'
  readonly kind: 'Namespace'
  readonly metadata: RawMetadata
}

export interface RawNode {
  readonly apiVersion: 'v1'
  readonly kind: 'Node'
  readonly metadata: RawMetadata
  readonly spec: { readonly podCIDRs: readonly string[] }
  readonly status: { readonly addresses: readonly { readonly type: string; readonly address: string }[] }
}

export interface RawSelector {
  readonly matchLabels?: Readonly<Record<string, string>>
  readonly matchExpressions?: readonly {
    readonly key: string
    readonly operator: string
    readonly values?: readonly string[]
  }[]
}

export interface RawNetworkPolicy {
  readonly apiVersion: 'networking.k8s.io/v1'
  readonly kind: 'NetworkPolicy'
  readonly metadata: RawMetadata
  readonly spec: {
    readonly podSelector: RawSelector
    readonly policyTypes?: readonly string[]
    readonly ingress?: readonly { readonly from?: readonly RawPeer[]; readonly ports?: readonly RawPort[] }[]
    readonly egress?: readonly { readonly to?: readonly RawPeer[]; readonly ports?: readonly RawPort[] }[]
  }
}

export interface RawPeer {
  readonly podSelector?: RawSelector
  readonly namespaceSelector?: RawSelector
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] }
}

export interface RawPort {
  readonly protocol?: string
  readonly port?: number | string
  readonly endPort?: number
}

export interface RawClusterNetworkPolicy {
  readonly apiVersion: 'policy.networking.k8s.io/v1alpha2'
  readonly kind: 'ClusterNetworkPolicy'
  readonly metadata: RawMetadata
  readonly spec: {
    readonly tier: string
    readonly priority: number
    readonly subject: RawClusterSubject
    readonly ingress?: readonly (RawClusterRule & { readonly from: readonly RawClusterPeer[] })[]
    readonly egress?: readonly (RawClusterRule & { readonly to: readonly RawClusterPeer[] })[]
  }
}

export interface RawClusterSubject {
  readonly namespaces?: RawSelector
  readonly pods?: { readonly namespaceSelector: RawSelector; readonly podSelector: RawSelector }
}

export interface RawClusterRule {
  readonly name?: string
  readonly action: string
  readonly protocols?: readonly RawClusterProtocol[]
}

export interface RawClusterPeer extends RawClusterSubject {
  readonly nodes?: RawSelector
  readonly networks?: readonly string[]
  readonly domainNames?: readonly string[]
}

export interface RawClusterProtocol {
  readonly tcp?: { readonly destinationPort?: RawClusterPort }
  readonly udp?: { readonly destinationPort?: RawClusterPort }
  readonly sctp?: { readonly destinationPort?: RawClusterPort }
  readonly destinationNamedPort?: string
}

export interface RawClusterPort {
  readonly number?: number
  readonly range?: { readonly start: number; readonly end: number }
}

/** The first packet of a connection, in the forwarding kernel. */
export interface RawFlow {
  readonly source: string
  readonly destination: string
  readonly protocol: 'TCP' | 'UDP' | 'SCTP' | 'ICMP'
  readonly destinationPort: number
}

export type Direction = 'ingress' | 'egress'

export interface Judgement {
  readonly passes: boolean
  /** For people: what decided, `egress: NetworkPolicy x/web rule 0`. */
  readonly why: string
}
