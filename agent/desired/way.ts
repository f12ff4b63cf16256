import { ADDRESS_BITS, type Cidr, contains, type Family, familyOf, numberOf } from '../../ipam/address.ts'
import type { ClusterNode, Encapsulation } from '../cluster/view.ts'

export const ROUTINGS = ['auto', 'direct', 'vxlan', 'ipip', 'wireguard'] as const
export type Routing = (typeof ROUTINGS)[number]

/** A kind of tunnel link: `ipip` for IPv4 pods, `gre` for IPv6 ones. */
export type Tunnel = Encapsulation | 'gre'

/** A way out of the node: what it has a route to, and by which link. */
export interface Uplink {
  readonly cidr: Cidr
  readonly link: string
  /** Absent: the network is on the link itself. */
  readonly gateway?: string
  /** The smaller one counts. */
  readonly metric: number
  /** Who is at the other end is decided behind the link, by the packet's destination: a router would be passed over. */
  readonly isPointToPoint?: boolean
}

/** What of this node decides how it reaches others. */
export interface WayFacts {
  readonly self: ClusterNode
  /** The node's own routes, none of ours among them. */
  readonly uplinks: readonly Uplink[]
  /** By address: what the kernel says about single peers, where the routes above alone do not tell (rules, VRFs). */
  readonly answers?: ReadonlyMap<string, Uplink>
  /** The same of packets that come from this node's own address, as those of VXLAN and IPIP do. */
  readonly tunnelAnswers?: ReadonlyMap<string, Uplink>
  /** By address: whom this node has to reach there, besides nodes. No pods can be there. */
  readonly servers?: ReadonlyMap<string, string>
  /** Which tunnels the kernel cannot make, and what to do about it. */
  readonly missing: ReadonlyMap<Tunnel, string>
}

export interface WaySettings {
  readonly routing: Routing
  /** Nothing goes between nodes unencrypted, whatever the routing. */
  readonly isEncrypted: boolean
}

/** How packets for a peer's pods of one family get there. */
export type Way =
  | { readonly kind: 'direct'; readonly address: string; readonly link: string }
  | { readonly kind: Tunnel; readonly remote: string }
  /** None; the reason is for people. */
  | { readonly kind: 'none'; readonly reason: string }

/** Pure. The first way that is possible of those that the settings allow. */
export function wayTo(peer: ClusterNode, family: Family, facts: WayFacts, settings: WaySettings): Way {
  const reasons = new Set<string>()
  for (const kind of kindsOf(settings)) {
    const way = kind === 'direct' ? direct(peer, family, facts, settings) : tunnelled(peer, family, kind, facts)
    if (way.kind !== 'none') return way
    if (kind !== 'direct' || settings.routing === 'direct') reasons.add(way.reason)
  }
  return { kind: 'none', reason: [...reasons].join('; ') }
}

/** Rather than by an unencrypted way, packets go nowhere. */
export function mustEncrypt({ routing, isEncrypted }: WaySettings): boolean {
  return isEncrypted || routing === 'wireguard'
}

/** Both ends of a pair choose alike: in this order, of what both can do. */
function kindsOf(settings: WaySettings): readonly ('direct' | Encapsulation)[] {
  const { routing } = settings
  if (mustEncrypt(settings)) return ['wireguard']
  return routing === 'auto' ? ['direct', 'vxlan', 'ipip'] : [routing]
}

/** The peer is in a subnet of ours, by an address of the pods' family. */
function direct(peer: ClusterNode, family: Family, facts: WayFacts, { routing }: WaySettings): Way {
  const { self } = facts
  const address = addressOf(peer, family)
  if (!address)
    return none(
      `${peer.name} has no IPv${family} InternalIP, as --routing direct needs for its pods; use auto or vxlan`,
    )
  const uplink = uplinkTo(address, facts)
  // A VPN between the nodes may know pods or not: who knows it does says --routing direct.
  const isNeighbour = uplink?.gateway === undefined && (routing === 'direct' || !uplink?.isPointToPoint)
  if (uplink && isNeighbour && uplink.cidr.prefixLength > 0) return { kind: 'direct', address, link: uplink.link }
  return none(`${peer.name} (${address}) is in no subnet of ${self.name}, as --routing direct needs; use auto or vxlan`)
}

function tunnelled(peer: ClusterNode, family: Family, encapsulation: Encapsulation, facts: WayFacts): Way {
  const { self, missing } = facts
  const kind: Tunnel = encapsulation === 'ipip' && family === 6 ? 'gre' : encapsulation
  const remedy = missing.get(kind)
  if (remedy !== undefined) return none(remedy)
  // Of this node counts what the others were told of it: they go by that.
  if (!hasTold(self, encapsulation))
    return none(
      `the others were told that ${self.name} does ${toldBy(self)}, and not that it can do ${encapsulation} by now; it says so as soon as the cluster can be reached`,
    )
  if (!hasTold(peer, encapsulation))
    return none(`${peer.name} cannot do ${encapsulation}: its agent announces ${toldBy(peer)}; see its status`)
  if (kind === 'wireguard') return encrypted(peer, facts)
  const underlay = kind === 'vxlan' ? underlayFamily(self) : 4
  const [own, remote] = [addressOf(self, underlay), addressOf(peer, underlay)]
  if (remote && own) return { kind, remote }
  const which = own ? peer : self
  return none(`${which.name} has no IPv${underlay} InternalIP, over which ${self.name} has its tunnel`)
}

/** Of whom nothing is known it may be. */
function hasTold({ announcement }: ClusterNode, encapsulation: Encapsulation): boolean {
  return announcement?.encapsulations.includes(encapsulation) ?? true
}

function toldBy({ announcement }: ClusterNode): string {
  return announcement?.encapsulations.join(', ') || 'nothing'
}

/** WireGuard goes over either family, each peer by its own. */
function encrypted(peer: ClusterNode, { self }: WayFacts): Way {
  if (!peer.announcement?.wireguard)
    return none(
      `${peer.name} has announced no WireGuard key; does its agent run with --routing wireguard or --encrypt? With --cluster-dir its manifest has to have the key: see bramblectl node manifest`,
    )
  const remote = ([4, 6] as const).flatMap((family) => (addressOf(self, family) && addressOf(peer, family)) ?? [])[0]
  return remote
    ? { kind: 'wireguard', remote }
    : none(`${peer.name} and ${self.name} have no InternalIP of one family, over which they could meet`)
}

function none(reason: string): Way {
  return { kind: 'none', reason }
}

/** The family of the addresses between which a node has its VXLAN: one link, one family. */
export function underlayFamily(self: ClusterNode): Family {
  return addressOf(self, 4) ? 4 : 6
}

export function addressOf(node: ClusterNode, family: Family): string | undefined {
  return node.addresses.find((address) => familyOf(address) === family)
}

/** The kernel's answer or else, as in its look-up, the longest prefix, then the smallest metric. */
export function uplinkTo(address: string, { uplinks, answers }: Pick<WayFacts, 'uplinks' | 'answers'>) {
  const answer = answers?.get(address)
  if (answer) return answer
  let best: Uplink | undefined
  for (const uplink of uplinks) {
    if (!contains(uplink.cidr, address)) continue
    const longer = uplink.cidr.prefixLength - (best?.cidr.prefixLength ?? -1)
    if (!best || longer > 0 || (longer === 0 && uplink.metric < best.metric)) best = uplink
  }
  return best
}

/** A network that the node is on itself, and not just one address. */
export function isOnLinkNetwork({ cidr, gateway }: Uplink): boolean {
  return gateway === undefined && cidr.prefixLength > 0 && cidr.prefixLength < ADDRESS_BITS[cidr.family]
}

/** Whatever is sent there everybody on that link gets (RFC 919); no node can be there. @returns the network whose it is */
export function broadcastNetwork(address: string, uplinks: readonly Uplink[]): Uplink | undefined {
  return uplinks.find((uplink) => {
    const { family, first, prefixLength } = uplink.cidr
    if (family !== 4 || prefixLength > 30 || !isOnLinkNetwork(uplink) || familyOf(address) !== 4) return false
    return numberOf(address) === first + (1n << BigInt(ADDRESS_BITS[4] - prefixLength)) - 1n
  })
}
