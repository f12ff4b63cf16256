import type { FdbEntry } from '../kernel/fdb.ts'
import type { Neighbour } from '../kernel/neighbours.ts'
import type { VxlanParameters } from '../kernel/vxlan.ts'
import type { MasqueradeElement, MasqueradeTable } from './masquerade.ts'
import type { DefinedTable } from './nftables-text.ts'

/** The kernel objects that join this node to the others, as values. Links go by name: an index is known only later. */

export interface VxlanLink extends VxlanParameters {
  readonly kind: 'vxlan'
  readonly name: string
  readonly mac: string
  readonly mtuBytes: number
}

/** IPv4 (`ipip`) or IPv6 (`gre`) in IPv4, to wherever the route's gateway is. */
export interface IpTunnelLink {
  readonly kind: 'ipip' | 'gre'
  readonly name: string
  readonly local: string
  readonly mtuBytes: number
}

export interface WireguardLink {
  readonly kind: 'wireguard'
  readonly name: string
  /** In base64; the private key is nobody's business. */
  readonly publicKey: string
  /** UDP. */
  readonly port: number
  readonly mtuBytes: number
}

export type TunnelLink = VxlanLink | IpTunnelLink | WireguardLink

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
  /** Counts only while there is no other to the same destination. */
  readonly isLast?: boolean
}

export interface LinkNeighbour extends Neighbour {
  readonly link: string
}

export interface LinkFdbEntry extends FdbEntry {
  readonly link: string
}

/** Whose packets a WireGuard link takes, and where it sends them. */
export interface WireguardPeer {
  readonly link: string
  readonly publicKey: string
  readonly endpoint: { readonly address: string; readonly port: number }
  /** CIDRs. */
  readonly allowedIps: readonly string[]
  /** 0: none. */
  readonly keepaliveSeconds: number
}

/** All kinds of them, in the order in which one rests upon another. */
export interface NodeObjects {
  readonly links: readonly TunnelLink[]
  readonly addresses: readonly LinkAddress[]
  readonly neighbours: readonly LinkNeighbour[]
  readonly fdb: readonly LinkFdbEntry[]
  readonly wireguardPeers: readonly WireguardPeer[]
  readonly routes: readonly NodeRoute[]
  readonly masqueradeTables: readonly MasqueradeTable[]
  readonly masqueradeElements: readonly MasqueradeElement[]
  readonly notrackTables: readonly DefinedTable[]
}

export const NO_OBJECTS: NodeObjects = {
  links: [],
  addresses: [],
  neighbours: [],
  fdb: [],
  wireguardPeers: [],
  routes: [],
  masqueradeTables: [],
  masqueradeElements: [],
  notrackTables: [],
}

export const KINDS = Object.keys(NO_OBJECTS) as (keyof NodeObjects)[]

/** All of several. */
export function joined(parts: readonly NodeObjects[]): NodeObjects {
  return Object.fromEntries(
    KINDS.map((kind) => [kind, parts.flatMap((part) => part[kind] as readonly unknown[])]),
  ) as unknown as NodeObjects
}
