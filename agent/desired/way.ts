import { type Cidr, contains, type Family, familyOf } from '../../ipam/address.ts'
import type { ClusterNode } from '../cluster/view.ts'

export const ROUTINGS = ['auto', 'direct', 'vxlan'] as const
export type Routing = (typeof ROUTINGS)[number]

/** A network that the node is on itself: what it has a route to without a gateway. */
export interface OnLinkNetwork {
  readonly cidr: Cidr
  readonly link: string
}

/** How packets for a peer's pods of one family get there. */
export type Way =
  | { readonly kind: 'direct'; readonly address: string; readonly link: string }
  | { readonly kind: 'vxlan'; readonly remote: string }
  /** None; the reason is for people. */
  | { readonly kind: 'none'; readonly reason: string }

/** Direct where the peer is in a subnet of ours, by an address of the pods' family; else through the tunnel. Pure. */
export function wayTo(
  peer: ClusterNode,
  self: ClusterNode,
  family: Family,
  routing: Routing,
  networks: readonly OnLinkNetwork[],
): Way {
  if (routing !== 'vxlan') {
    const address = addressOf(peer, family)
    const network = address && onLinkNetwork(address, networks)
    if (address && network) return { kind: 'direct', address, link: network.link }
    if (routing === 'direct')
      return {
        kind: 'none',
        reason: address
          ? `${peer.name} (${address}) is in no subnet of ${self.name}, as --routing direct needs; use auto or vxlan`
          : `${peer.name} has no IPv${family} InternalIP, as --routing direct needs for its pods; use auto or vxlan`,
      }
  }
  const underlay = underlayFamily(self)
  const remote = addressOf(peer, underlay)
  if (remote) return { kind: 'vxlan', remote }
  return {
    kind: 'none',
    reason: `${peer.name} has no IPv${underlay} InternalIP, over which ${self.name} has its tunnel`,
  }
}

/** The family of the addresses between which a node has its tunnels: one link, one family. */
export function underlayFamily(self: ClusterNode): Family {
  return addressOf(self, 4) ? 4 : 6
}

export function addressOf(node: ClusterNode, family: Family): string | undefined {
  return node.addresses.find((address) => familyOf(address) === family)
}

/** The longest prefix wins, as in the kernel's look-up. */
function onLinkNetwork(address: string, networks: readonly OnLinkNetwork[]): OnLinkNetwork | undefined {
  return networks
    .filter(({ cidr }) => contains(cidr, address))
    .reduce<OnLinkNetwork | undefined>(
      (best, network) => (best && best.cidr.prefixLength >= network.cidr.prefixLength ? best : network),
      undefined,
    )
}
