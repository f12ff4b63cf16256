import { addressBytes, addressOf } from '../../ipam/address.ts'
import { attribute, readAttributes, u8 } from './attributes.ts'
import type { NetlinkRequest } from './message.ts'
import { newLink } from './new-link.ts'

/** IPv4 inside of IPv4 (RFC 2003). What carries IPv6 is in gre.ts, and tells why. */

// include/uapi/linux/if_tunnel.h
const IFLA_IPTUN_LOCAL = 2
const IFLA_IPTUN_REMOTE = 3
const IFLA_IPTUN_TTL = 4
const IFLA_IPTUN_PROTO = 9
const IFLA_IPTUN_PMTUDISC = 10
/** As in the packet inside: 1 to 255 would be a number of hops. */
const TTL_INHERIT = 0
/** include/uapi/linux/in.h; 0 would take MPLS, too */
const IPPROTO_IPIP = 4

/** What makes the link the one that it is; of a link that differs in it, a new one has to be made. */
export interface IpipParameters {
  /** The node's own IPv4 address, from which tunnel packets are sent, and to which they have to come. */
  readonly local: string
}

/**
 * One link to all peers: it has no remote, and each packet goes to the gateway of its route, the peer's address. As
 * flannel makes it. What does not fit is refused with "fragmentation needed" and never cut (pmtudisc): reassembly costs
 * a small machine dearly.
 */
export function addIpipLink(
  link: IpipParameters & { readonly name: string; readonly mtuBytes: number },
): NetlinkRequest {
  const { name, mtuBytes, local } = link
  return newLink(
    { kind: 'ipip', name, mtuBytes, words: `local ${local} remote any ttl inherit pmtudisc` },
    attribute(IFLA_IPTUN_LOCAL, addressBytes(local)),
    u8(IFLA_IPTUN_TTL, TTL_INHERIT),
    u8(IFLA_IPTUN_PMTUDISC, 1),
    u8(IFLA_IPTUN_PROTO, IPPROTO_IPIP),
  )
}

/**
 * @param info the IFLA_INFO_DATA of a link of kind `ipip`
 * @returns undefined when it is not as ours are made: it leads to one peer, carries something else, or lets packets be cut
 */
export function parseIpip(info: Buffer): IpipParameters | undefined {
  const attributes = readAttributes(info)
  const local = attributes.get(IFLA_IPTUN_LOCAL)
  const leadsToOne = attributes.get(IFLA_IPTUN_REMOTE)?.some((byte) => byte !== 0)
  if (local?.length !== 4 || leadsToOne) return undefined
  if (attributes.get(IFLA_IPTUN_PROTO)?.[0] !== IPPROTO_IPIP) return undefined
  if (attributes.get(IFLA_IPTUN_PMTUDISC)?.[0] !== 1 || attributes.get(IFLA_IPTUN_TTL)?.[0] !== TTL_INHERIT)
    return undefined
  return { local: addressOf(local) }
}
