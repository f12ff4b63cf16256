import { addressBytes, addressOf } from '../../ipam/address.ts'
import { attribute, readAttributes, u8 } from './attributes.ts'
import type { NetlinkRequest } from './message.ts'
import { newLink } from './new-link.ts'

// include/uapi/linux/if_tunnel.h
const IFLA_IPTUN_LOCAL = 2
const IFLA_IPTUN_REMOTE = 3
const IFLA_IPTUN_TTL = 4
const IFLA_IPTUN_PROTO = 9
const IFLA_IPTUN_PMTUDISC = 10
/** As in the packet inside: 1 to 255 would be a number of hops. */
const TTL_INHERIT = 0

/**
 * Tunnels over IPv4 that carry IPv4 (`ipip`) and IPv6 (`sit`), by their protocol numbers inside of IPv4
 * (include/uapi/linux/in.h).
 */
const PROTOCOL = { ipip: 4, sit: 41 } as const
export type IpTunnelKind = keyof typeof PROTOCOL

/** What makes the link the one that it is; of a link that differs in it, a new one has to be made. */
export interface IpTunnelParameters {
  /** The node's own IPv4 address, from which tunnel packets are sent, and to which they have to come. */
  readonly local: string
}

interface NewIpTunnel extends IpTunnelParameters {
  readonly name: string
  readonly mtuBytes: number
}

/**
 * One link to all peers: it has no remote, and each packet goes to the gateway of its route, the peer's address. As
 * flannel makes it.
 */
export function addIpipLink(link: NewIpTunnel): NetlinkRequest {
  return addIpTunnel('ipip', link)
}

/**
 * The same for IPv6 inside of IPv4; gateways are written as sitGateway does. Only where all peers are reached over one
 * and the same gateway, or all without any: see gre.ts, which has no such limit.
 */
export function addSitLink(link: NewIpTunnel): NetlinkRequest {
  return addIpTunnel('sit', link)
}

/**
 * What does not fit is refused with "fragmentation needed" and never cut (pmtudisc): reassembly costs a small machine
 * dearly.
 */
function addIpTunnel(kind: IpTunnelKind, { name, local, mtuBytes }: NewIpTunnel): NetlinkRequest {
  return newLink(
    { kind, name, mtuBytes, words: `local ${local} remote any ttl inherit pmtudisc` },
    attribute(IFLA_IPTUN_LOCAL, addressBytes(local)),
    u8(IFLA_IPTUN_TTL, TTL_INHERIT), // `sit` has 64 where nothing is said (net/ipv6/sit.c)
    u8(IFLA_IPTUN_PMTUDISC, 1),
    u8(IFLA_IPTUN_PROTO, PROTOCOL[kind]),
  )
}

/**
 * The gateway of a route over a `sit` link: the peer's IPv4 address in the low 32 bits, the only form from which the
 * kernel learns where to send the packet (net/ipv6/sit.c, ipip6_tunnel_xmit; RFC 4291, 2.5.5.1).
 * @returns as formatAddress writes it, `::c0a8:102` for 192.168.1.2
 */
export function sitGateway(peer: string): string {
  return addressOf(Buffer.concat([Buffer.alloc(12), addressBytes(peer)]))
}

/**
 * @param info the IFLA_INFO_DATA of a link of that kind
 * @returns undefined when it is not as ours are made: it leads to one peer, carries something else, or lets packets be cut
 */
export function parseIpTunnel(info: Buffer, kind: IpTunnelKind): IpTunnelParameters | undefined {
  const attributes = readAttributes(info)
  const local = attributes.get(IFLA_IPTUN_LOCAL)
  const leadsToOne = attributes.get(IFLA_IPTUN_REMOTE)?.some((byte) => byte !== 0)
  if (local?.length !== 4 || leadsToOne) return undefined
  if (attributes.get(IFLA_IPTUN_PROTO)?.[0] !== PROTOCOL[kind]) return undefined
  if (attributes.get(IFLA_IPTUN_PMTUDISC)?.[0] !== 1 || attributes.get(IFLA_IPTUN_TTL)?.[0] !== TTL_INHERIT)
    return undefined
  return { local: addressOf(local) }
}
