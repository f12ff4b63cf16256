/** The kernel objects that join this node to the others, as values. Links go by name: an index is known only later. */

export interface VxlanLink {
  readonly name: string
  readonly vni: number
  /** UDP. */
  readonly port: number
  /** The node's own address, from which tunnel packets are sent. */
  readonly local: string
  readonly mac: string
  readonly mtuBytes: number
}

export interface LinkAddress {
  readonly link: string
  readonly address: string
}

export interface NodeRoute {
  readonly destination: string
  /** Absent: nothing behind it (blackhole). */
  readonly link?: string
  readonly gateway?: string
  /** The gateway counts as on the link, whatever the routes say (RTNH_F_ONLINK). */
  readonly isOnlink?: boolean
}

export interface LinkNeighbour {
  readonly link: string
  readonly address: string
  readonly mac: string
}

/** Where a VXLAN link finds the node behind a MAC. */
export interface FdbEntry {
  readonly link: string
  readonly mac: string
  /** The node's address in the underlay. */
  readonly remote: string
}

/** All objects for one peer. */
export interface PeerObjects {
  readonly routes: readonly NodeRoute[]
  readonly neighbours: readonly LinkNeighbour[]
  readonly fdb: readonly FdbEntry[]
}
