import { type Cidr, contains, familyOf, overlaps } from '../../ipam/address.ts'
import type { ClusterNode } from '../cluster/view.ts'
import { greNeighbour } from '../kernel/gre.ts'
import { type MasqueradeSettings, masqueradeElement } from './masquerade.ts'
import type { LinkFdbEntry, LinkNeighbour, NodeObjects, NodeRoute, WireguardPeer } from './objects.ts'
import { NO_OBJECTS } from './objects.ts'
import { networkOver, type Overlap } from './overlaps.ts'
import { linkOf, overheadBytes, type TunnelSettings, vtepMac, vxlanGateway } from './tunnel.ts'
import {
  mustEncrypt,
  type Tunnel,
  type Uplink,
  uplinkTo,
  type Way,
  type WayFacts,
  type WaySettings,
  wayTo,
} from './way.ts'

export type PeerSettings = WaySettings & TunnelSettings & { readonly masquerade: MasqueradeSettings }

/** How one peer is reached. */
export interface DesiredPeer {
  readonly objects: NodeObjects
  readonly ways: readonly Way[]
  /** Which tunnels of ours it needs, with what each takes of a packet in bytes. */
  readonly tunnels: ReadonlyMap<Tunnel, number>
  /** The node's links that its packets leave by. */
  readonly uplinks: readonly string[]
  /** Its pod CIDRs, but for those that it cannot have. */
  readonly podCidrs: readonly Cidr[]
  readonly problems: readonly string[]
  /** Those of the problems that come of a network which this node is on. */
  readonly overlaps: readonly Overlap[]
}

/**
 * What the kernel needs to reach one peer's pods. Pure, and of this peer alone: a change of one node is worked out
 * without looking at the others.
 * @param keyHolder another node that has the peer's WireGuard key, and goes before it
 */
export function desiredPeer(
  peer: ClusterNode,
  facts: WayFacts,
  settings: PeerSettings,
  keyHolder?: string,
): DesiredPeer {
  const routes: NodeRoute[] = []
  const neighbours: LinkNeighbour[] = []
  const fdb = new Map<string, LinkFdbEntry>()
  const tunnels = new Map<Tunnel, number>()
  const uplinks = new Set<string>()
  const podCidrs: Cidr[] = []
  const ways: Way[] = []
  const problems: string[] = []
  const overlapping: Overlap[] = []
  const wireguardPeers = new Map<string, WireguardPeer>()
  for (const cidr of peer.podCidrs) {
    const taken = takenBy(cidr, facts)
    if (taken) {
      const problem = `the pod CIDR ${cidr.text} of ${peer.name} overlaps ${taken.owner}; give that node another one`
      problems.push(problem)
      if (taken.network) overlapping.push({ node: peer.name, cidr, network: taken.network, problem })
      continue
    }
    podCidrs.push(cidr)
    // Without this they would leave by the default route, in the clear, whenever the tunnel's own is not there.
    if (mustEncrypt(settings)) routes.push({ destination: cidr.text, isLast: true })
    const way = withOwnKey(wayTo(peer, cidr.family, facts, settings), peer, facts, settings, keyHolder)
    ways.push(way)
    if (way.kind === 'none') {
      problems.push(way.reason)
      continue
    }
    if (way.kind === 'direct') {
      routes.push({ destination: cidr.text, link: way.link, gateway: way.address })
      uplinks.add(way.link)
      continue
    }
    const link = linkOf(way.kind)
    tunnels.set(way.kind, overheadBytes(way.kind, familyOf(way.remote)))
    const uplink = uplinkOf(way.kind, way.remote, facts)
    if (uplink) uplinks.add(uplink.link)
    switch (way.kind) {
      case 'vxlan': {
        const mac = vtepMac(peer.name)
        const gateway = vxlanGateway(cidr, mac)
        neighbours.push({ link, address: gateway, mac })
        fdb.set(mac, { link, mac, remote: way.remote })
        routes.push({ destination: cidr.text, link, gateway, isOnlink: true })
        break
      }
      case 'ipip':
        routes.push({ destination: cidr.text, link, gateway: way.remote, isOnlink: true })
        break
      case 'gre': {
        const neighbour = greNeighbour(way.remote)
        neighbours.push({ link, ...neighbour })
        routes.push({ destination: cidr.text, link, gateway: neighbour.address, isOnlink: true })
        break
      }
      case 'wireguard':
        routes.push({ destination: cidr.text, link })
        addWireguardPeer(wireguardPeers, peer, way.remote, cidr, settings)
    }
  }
  const objects = {
    ...NO_OBJECTS,
    neighbours,
    fdb: [...fdb.values()],
    wireguardPeers: [...wireguardPeers.values()],
    routes,
    masqueradeElements: settings.masquerade.isOn ? podCidrs.map(masqueradeElement) : [],
  }
  return { objects, ways, tunnels, uplinks: [...uplinks], podCidrs, problems, overlaps: overlapping }
}

/** WireGuard's packets have no source before they have a route; those of the others are from the link's own address. */
function uplinkOf(kind: Tunnel, remote: string, { uplinks, answers, tunnelAnswers }: WayFacts) {
  const asked = kind === 'wireguard' ? answers : tunnelAnswers
  return uplinkTo(remote, { uplinks, ...(asked && { answers: asked }) })
}

/** WireGuard knows a peer by its key alone: of two that have one, only one can be there, and never one that has ours. */
function withOwnKey(
  way: Way,
  { name, announcement }: ClusterNode,
  { self }: WayFacts,
  { wireguard: own }: TunnelSettings,
  keyHolder: string | undefined,
): Way {
  if (way.kind !== 'wireguard') return way
  const holder = announcement?.wireguard?.publicKey === own?.publicKey ? self.name : keyHolder
  if (holder === undefined) return way
  const reason = `${name} has the WireGuard key of ${holder}; remove the key file of one of them and start its agent again, which makes another`
  return { kind: 'none', reason }
}

/** One peer for both families. */
function addWireguardPeer(
  peers: Map<string, WireguardPeer>,
  { announcement }: ClusterNode,
  remote: string,
  cidr: Cidr,
  { wireguard: own }: TunnelSettings,
): void {
  if (!announcement?.wireguard) return
  const { publicKey, port } = announcement.wireguard
  peers.set(publicKey, {
    link: linkOf('wireguard'),
    publicKey,
    endpoint: { address: remote, port },
    allowedIps: [...(peers.get(publicKey)?.allowedIps ?? []), cidr.text],
    keepaliveSeconds: own?.keepaliveSeconds ?? 0,
  })
}

/** A peer's pods cannot have the addresses of our own, nor those of the networks that we are on or of their routers. Pure. @returns whose they are */
export function takenBy(
  cidr: Cidr,
  facts: WayFacts,
): { readonly owner: string; readonly network?: Uplink } | undefined {
  const { self, uplinks } = facts
  const own = self.podCidrs.find((one) => overlaps(one, cidr))
  if (own) return { owner: `${own.text}, which are the pods of ${self.name}` }
  const network = networkOver(cidr, facts)
  if (network) return { owner: `${network.cidr.text}, the network on ${network.link} of ${self.name}`, network }
  const router = uplinks.find(({ gateway }) => gateway !== undefined && contains(cidr, gateway))
  return router && { owner: `${router.gateway}, a router of ${self.name}` }
}
