import type { Family } from '../../ipam/address.ts'
import type { ClusterNode, ClusterView } from '../cluster/view.ts'
import type { FdbEntry, LinkAddress, LinkNeighbour, NodeRoute, VxlanLink } from './objects.ts'
import { desiredPeer, tunnelAddress, VXLAN_LINK, vtepMac } from './peer.ts'
import { addressOf, type OnLinkNetwork, type Routing, underlayFamily } from './way.ts'

export interface NetworkSettings {
  readonly routing: Routing
  readonly vxlanVni: number
  /** UDP. */
  readonly vxlanPort: number
}

/** What this node knows of itself. */
export interface LocalFacts {
  readonly self: ClusterNode
  /** What the node is on, link by link. */
  readonly networks: readonly OnLinkNetwork[]
  /** The smallest of the uplinks. */
  readonly uplinkMtuBytes: number
}

/** All that joins this node to the others. */
export interface DesiredNetwork {
  readonly links: readonly VxlanLink[]
  readonly addresses: readonly LinkAddress[]
  readonly neighbours: readonly LinkNeighbour[]
  readonly fdb: readonly FdbEntry[]
  readonly routes: readonly NodeRoute[]
  /** Peers that cannot be reached, and why. */
  readonly problems: readonly string[]
}

/** Outer Ethernet, IP, UDP and VXLAN headers: RFC 7348, section 5. */
export const VXLAN_OVERHEAD_BYTES: Record<Family, number> = { 4: 50, 6: 70 }

/** Pure: (view, this node) to the kernel objects that should exist. */
export function desiredNetwork(view: ClusterView, facts: LocalFacts, settings: NetworkSettings): DesiredNetwork {
  const { self, networks } = facts
  const peers = [...view.nodes.values()]
    .filter(({ name }) => name !== self.name)
    .map((peer) => desiredPeer(peer, self, settings.routing, networks))
  const needsTunnel = peers.some(({ fdb }) => fdb.length > 0)
  const local = addressOf(self, underlayFamily(self))
  const tunnel = needsTunnel && local ? [vxlanLink(local, facts, settings)] : []
  return {
    links: tunnel,
    addresses: tunnel.flatMap(({ name }) =>
      self.podCidrs.map((cidr) => ({ link: name, address: tunnelAddress(cidr) })),
    ),
    neighbours: peers.flatMap(({ neighbours }) => neighbours),
    fdb: peers.flatMap(({ fdb }) => fdb),
    routes: [
      // Packets for addresses of ours that no pod has end here, instead of going out by the default route and back.
      ...self.podCidrs.map(({ text }) => ({ destination: text })),
      ...peers.flatMap(({ routes }) => routes),
    ],
    problems: peers.flatMap(({ problems }) => problems),
  }
}

function vxlanLink(local: string, facts: LocalFacts, settings: NetworkSettings): VxlanLink {
  return {
    name: VXLAN_LINK,
    vni: settings.vxlanVni,
    port: settings.vxlanPort,
    local,
    mac: vtepMac(facts.self.name),
    mtuBytes: facts.uplinkMtuBytes - VXLAN_OVERHEAD_BYTES[underlayFamily(facts.self)],
  }
}
