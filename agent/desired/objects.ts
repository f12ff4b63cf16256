import type { FdbEntry } from '../kernel/fdb.ts'
import type { Neighbour } from '../kernel/neighbours.ts'
import type { VxlanParameters } from '../kernel/vxlan.ts'

/** The kernel objects that join this node to the others, as values. Links go by name: an index is known only later. */

export interface VxlanLink extends VxlanParameters {
  readonly name: string
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

export interface LinkNeighbour extends Neighbour {
  readonly link: string
}

export interface LinkFdbEntry extends FdbEntry {
  readonly link: string
}

/** All objects for one peer. */
export interface PeerObjects {
  readonly routes: readonly NodeRoute[]
  readonly neighbours: readonly LinkNeighbour[]
  readonly fdb: readonly LinkFdbEntry[]
}
