import { createHash } from 'node:crypto'
import { type Cidr, formatAddress, overlaps } from '../../ipam/address.ts'
import type { ClusterNode } from '../cluster/view.ts'
import { formatMac } from '../kernel/mac.ts'
import type { LinkFdbEntry, LinkNeighbour, NodeRoute, PeerObjects } from './objects.ts'
import { type OnLinkNetwork, type Routing, wayTo } from './way.ts'

export const VXLAN_LINK = 'bramble.vxlan'

/**
 * What the kernel needs to reach one peer's pods. Pure, and of this peer alone: a change of one node is worked out
 * without looking at the others.
 */
export function desiredPeer(
  peer: ClusterNode,
  self: ClusterNode,
  routing: Routing,
  networks: readonly OnLinkNetwork[],
): PeerObjects & { readonly problems: readonly string[] } {
  const routes: NodeRoute[] = []
  const neighbours: LinkNeighbour[] = []
  const fdb = new Map<string, LinkFdbEntry>()
  const problems: string[] = []
  for (const cidr of peer.podCidrs) {
    const taken = takenBy(cidr, self, networks)
    if (taken) {
      problems.push(`the pod CIDR ${cidr.text} of ${peer.name} overlaps ${taken}; give that node another one`)
      continue
    }
    const way = wayTo(peer, self, cidr.family, routing, networks)
    if (way.kind === 'none') problems.push(way.reason)
    else if (way.kind === 'direct') routes.push({ destination: cidr.text, link: way.link, gateway: way.address })
    else {
      const mac = vtepMac(peer.name)
      const gateway = tunnelAddress(cidr)
      neighbours.push({ link: VXLAN_LINK, address: gateway, mac })
      fdb.set(mac, { link: VXLAN_LINK, mac, remote: way.remote })
      routes.push({ destination: cidr.text, link: VXLAN_LINK, gateway, isOnlink: true })
    }
  }
  return { routes, neighbours, fdb: [...fdb.values()], problems }
}

/** A peer's pods cannot have the addresses of our own, nor those of the networks that we are on. */
function takenBy(cidr: Cidr, self: ClusterNode, networks: readonly OnLinkNetwork[]): string | undefined {
  const own = self.podCidrs.find((one) => overlaps(one, cidr))
  if (own) return `${own.text}, which are the pods of ${self.name}`
  const network = networks.find((one) => overlaps(one.cidr, cidr))
  return network && `${network.cidr.text}, the network on ${network.link} of ${self.name}`
}

/** The first address of a node's pod CIDR, which no pod gets, is the node's own end of the tunnel. */
export function tunnelAddress(cidr: Cidr): string {
  return formatAddress(cidr.family, cidr.first)
}

/**
 * The MAC of a node's VXLAN link, known to all from its name: 0x66 and five bytes of SHA-1, as Calico has it. Set at
 * creation, so that systemd does not take it for a random one and replace it.
 */
export function vtepMac(nodeName: string): string {
  return formatMac(Buffer.concat([Uint8Array.of(0x66), createHash('sha1').update(nodeName).digest().subarray(0, 5)]))
}
