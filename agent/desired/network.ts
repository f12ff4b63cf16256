import { type Family, overlaps } from '../../ipam/address.ts'
import type { ClusterNode, ClusterView } from '../cluster/view.ts'
import type { LinkAddress, LinkFdbEntry, LinkNeighbour, NodeRoute, VxlanLink } from './objects.ts'
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
  readonly fdb: readonly LinkFdbEntry[]
  readonly routes: readonly NodeRoute[]
  /** Peers that cannot be reached, and why. */
  readonly problems: readonly string[]
}

/** Outer Ethernet, IP, UDP and VXLAN headers: RFC 7348, section 5. */
export const VXLAN_OVERHEAD_BYTES: Record<Family, number> = { 4: 50, 6: 70 }

/** Pure: (view, this node) to the kernel objects that should exist. */
export function desiredNetwork(view: ClusterView, facts: LocalFacts, settings: NetworkSettings): DesiredNetwork {
  const { self, networks } = facts
  const others = [...view.nodes.values()].filter(({ name }) => name !== self.name)
  const doubled = overlapping(others)
  const peers = others
    .filter(({ name }) => !doubled.has(name))
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
    problems: [...aboutSelf(view, self), ...doubled.values(), ...peers.flatMap(({ problems }) => problems)],
  }
}

/** What the others are told of this node must be what it does. */
function aboutSelf(view: ClusterView, self: ClusterNode): string[] {
  const told = view.nodes.get(self.name)
  if (!told)
    return view.nodes.size === 0
      ? []
      : [`the cluster has no node ${self.name}: the others do not know this one; see --node-name`]
  const [ours, theirs] = [self, told].map(({ podCidrs }) =>
    podCidrs
      .map(({ text }) => text)
      .sort()
      .join(', '),
  )
  return ours === theirs
    ? []
    : [`the cluster says that ${self.name} has the pods ${theirs || 'none'}; --pod-cidr says ${ours}`]
}

/** Nodes whose pod CIDRs overlap those of another one, by name; of two, the one that comes second by name. */
function overlapping(nodes: readonly ClusterNode[]): Map<string, string> {
  const found = new Map<string, string>()
  const byAddress = nodes
    .flatMap((node) => node.podCidrs.map((cidr) => ({ node, cidr })))
    .sort((a, b) => a.cidr.family - b.cidr.family || (a.cidr.first < b.cidr.first ? -1 : 1))
  let last: (typeof byAddress)[number] | undefined
  for (const one of byAddress) {
    if (!last || !overlaps(last.cidr, one.cidr)) {
      last = one // in this order a CIDR can overlap only the last that reaches as far
      continue
    }
    const [first, second] = last.node.name < one.node.name ? [last, one] : [one, last]
    found.set(
      second.node.name,
      `the pod CIDR ${second.cidr.text} of ${second.node.name} overlaps ${first.cidr.text} of ${first.node.name}; give one of them another`,
    )
  }
  return found
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
