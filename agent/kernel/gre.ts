import { addressBytes, addressOf } from '../../ipam/address.ts'
import { attribute, readAttributes, u8 } from './attributes.ts'
import { formatMac } from './mac.ts'
import type { NetlinkRequest } from './message.ts'
import type { Neighbour } from './neighbours.ts'
import { newLink } from './new-link.ts'

/**
 * GRE over IPv4 (RFC 2784) carries IPv6 to many peers over one link, which `sit` cannot: that remembers the outer route
 * of one packet for all that follow (net/ipv6/sit.c, dst_cache), so that with a peer on the LAN and one behind a router
 * the latter is looked for by ARP, and one peer's path MTU counts for all.
 */

// include/uapi/linux/if_tunnel.h
const IFLA_GRE_IFLAGS = 2
const IFLA_GRE_LOCAL = 6
const IFLA_GRE_REMOTE = 7
const IFLA_GRE_TTL = 8
const IFLA_GRE_PMTUDISC = 10
/** As in the packet inside: 1 to 255 would be a number of hops. */
const TTL_INHERIT = 0

/** What makes the link the one that it is; of a link that differs in it, a new one has to be made. */
export interface GreParameters {
  /** The node's own IPv4 address, from which tunnel packets are sent, and to which they have to come. */
  readonly local: string
}

/** One link to all peers: it has no remote, and each packet goes to the link-layer address of its gateway, greNeighbour. */
export function addGreLink(link: GreParameters & { readonly name: string; readonly mtuBytes: number }): NetlinkRequest {
  const { name, mtuBytes, local } = link
  return newLink(
    { kind: 'gre', name, mtuBytes, words: `local ${local} remote any ttl inherit pmtudisc` },
    attribute(IFLA_GRE_LOCAL, addressBytes(local)),
    u8(IFLA_GRE_TTL, TTL_INHERIT),
    u8(IFLA_GRE_PMTUDISC, 1),
  )
}

/**
 * The gateway of the routes to a peer: an address that nothing else has, `::c0a8:102` for 192.168.1.2, and what the
 * link layer of GRE has for an address, the peer's own in IPv4.
 */
export function greNeighbour(peer: string): Neighbour {
  const bytes = addressBytes(peer)
  return { address: addressOf(Buffer.concat([Buffer.alloc(12), bytes])), mac: formatMac(bytes) }
}

/**
 * @param info the IFLA_INFO_DATA of a link of kind `gre`
 * @returns undefined when it is not as ours are made: it leads to one peer, has keys or checksums, or lets packets be cut
 */
export function parseGre(info: Buffer): GreParameters | undefined {
  const attributes = readAttributes(info)
  const local = attributes.get(IFLA_GRE_LOCAL)
  const isSet = (type: number) => attributes.get(type)?.some((byte) => byte !== 0)
  if (local?.length !== 4 || isSet(IFLA_GRE_REMOTE) || isSet(IFLA_GRE_IFLAGS)) return undefined
  if (attributes.get(IFLA_GRE_PMTUDISC)?.[0] !== 1 || attributes.get(IFLA_GRE_TTL)?.[0] !== TTL_INHERIT)
    return undefined
  return { local: addressOf(local) }
}
