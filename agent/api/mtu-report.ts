/** What `bramblectl mtu` shows: how the MTU of pods comes about, and whether the paths to the others carry it. */
export interface MtuReport {
  /** From the uplink to the pod. */
  readonly steps: readonly MtuStep[]
  readonly podMtuBytes: number
  /** Every other node, by each of its ways. */
  readonly peers: readonly PeerPath[]
}

export interface MtuStep {
  /** `eth0`, `vxlan over IPv4`, `--mtu` */
  readonly what: string
  /** Of a link, its MTU; of a tunnel, what it takes, below 0. */
  readonly bytes: number
  /** `default route` */
  readonly why: string
}

export interface PeerPath {
  readonly node: string
  /** `direct`, `vxlan` */
  readonly way: string
  /** Of the node, where packets for its pods are sent. */
  readonly address: string
  /** What a full packet of a pod has there, with the headers of the way. */
  readonly neededBytes: number
  /** The largest packet that gets there; absent where it was not measured. */
  readonly measuredBytes?: number
  /** Why it could not be measured, or what is wrong with the path besides. About the node: "does not answer …". */
  readonly problem?: string
}
