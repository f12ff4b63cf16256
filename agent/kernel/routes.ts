import { ADDRESS_BITS, addressBytes, addressOf, type Family, familyOf } from '../../ipam/address.ts'
import { AF } from './addresses.ts'
import { attribute, readAttributes, readU32, u32 } from './attributes.ts'
import { type NetlinkMessage, type NetlinkRequest, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from './message.ts'
import type { Netlink } from './netlink.ts'

// include/uapi/linux/rtnetlink.h
export const RTM_NEWROUTE = 24
export const RTM_DELROUTE = 25
const RTM_GETROUTE = 26
const RTA_DST = 1
const RTA_SRC = 2
const RTA_OIF = 4
const RTA_GATEWAY = 5
const RTA_PRIORITY = 6
const RTA_MULTIPATH = 9
/** struct rtnexthop: length, flags, hops, link index */
const NEXTHOP_BYTES = 8
const RTA_TABLE = 15
/** Where the router has an address of the other family: struct rtvia. */
const RTA_VIA = 18
const VIA_FAMILY_BYTES = 2
const RTN_UNICAST = 1
const RTN_LOCAL = 2
const RTN_BLACKHOLE = 6
const RTPROT_KERNEL = 2
const RTNH_F_ONLINK = 4
const RT_SCOPE_UNIVERSE = 0
const RT_SCOPE_LINK = 253
const RTM_F_CLONED = 0x200
const INFO_BYTES = 12
export const RT_TABLE_MAIN = 254

/** A route over one link, or into nothing. */
export interface Route {
  /** `10.42.0.7/32`; `0.0.0.0/0` and `::/0` are the default routes. */
  readonly destination: string
  /** Absent: the destination is on the link itself. */
  readonly gateway?: string
  readonly table: number
  /** RTA_PRIORITY; 0 leaves it to the kernel (0 for IPv4, 1024 for IPv6). */
  readonly metric: number
  /** RTPROT_*, by which its maker is known. */
  readonly protocol: number
  /** The gateway counts as on the link, whatever other routes say. */
  readonly isOnlink?: boolean
  /** What goes there is dropped; no link. */
  readonly isBlackhole?: boolean
}

/** In the place of one with the same destination, table and metric, without a moment in between. */
export function replaceRoute(linkIndex: number, route: Route): NetlinkRequest {
  return { ...routeMessage('replace', linkIndex, route), type: RTM_NEWROUTE, flags: NLM_F_CREATE | NLM_F_REPLACE }
}

/** @throws KernelError EEXIST, on sending, when the same destination, table and metric is there already */
export function addRoute(linkIndex: number, route: Route): NetlinkRequest {
  return { ...routeMessage('add', linkIndex, route), type: RTM_NEWROUTE, flags: NLM_F_CREATE | NLM_F_EXCL }
}

export function deleteRoute(linkIndex: number, route: Route): NetlinkRequest {
  return { ...routeMessage('delete', linkIndex, route), type: RTM_DELROUTE }
}

/** Where a packet leaves the node. */
export interface WayOut {
  readonly linkIndex: number
  /** Absent: the destination is on the link itself. */
  readonly gateway?: string
}

export interface ListedRoute extends Route {
  readonly linkIndex: number
}

/**
 * The routes of all tables that leave over one link, or end here (blackhole).
 * @param leftOut a protocol whose routes are of no interest: there may be tens of thousands
 */
export async function listRoutes(netlink: Netlink, family: Family, leftOut?: number): Promise<ListedRoute[]> {
  const messages = await dumpRoutes(netlink, family)
  return messages.flatMap((message) => (message.body[5] === leftOut ? [] : (parseRoute(message) ?? [])))
}

/** The links that the default routes of all tables leave over. */
export async function listDefaultRouteLinks(netlink: Netlink, family: Family): Promise<number[]> {
  return (await dumpRoutes(netlink, family)).flatMap(defaultRouteLinks)
}

/** The links that a default route leaves over: several where it is a multipath one; none for any other route. */
export function defaultRouteLinks({ body }: NetlinkMessage): number[] {
  if (body[1] !== 0 || body[7] !== RTN_UNICAST) return []
  const attributes = readAttributes(body.subarray(INFO_BYTES))
  const only = readU32(attributes.get(RTA_OIF))
  return only === undefined ? nexthopLinks(attributes.get(RTA_MULTIPATH) ?? Buffer.alloc(0)) : [only]
}

function nexthopLinks(bytes: Buffer): number[] {
  const links: number[] = []
  for (let offset = 0; offset + NEXTHOP_BYTES <= bytes.length; ) {
    links.push(bytes.readInt32LE(offset + 4))
    offset += Math.max(NEXTHOP_BYTES, (bytes.readUInt16LE(offset) + 3) & ~3)
  }
  return links
}

function dumpRoutes(netlink: Netlink, family: Family): Promise<NetlinkMessage[]> {
  const info = Buffer.alloc(INFO_BYTES)
  info[0] = AF[family]
  return netlink.dump({ name: `-${family} route show table all`, type: RTM_GETROUTE, body: info })
}

/**
 * Whether somebody routes something by this: it is not of the protocol that is left out, and no single host's that came
 * with an address. The network that comes with one counts: NetworkManager makes it by itself, and later.
 */
export function concernsRouting({ body }: NetlinkMessage, leftOut: number): boolean {
  const [family, length, , , , protocol, , type] = body
  if (type !== RTN_UNICAST && type !== RTN_BLACKHOLE) return false
  const isHost = length === ADDRESS_BITS[family === AF[4] ? 4 : 6]
  return protocol !== leftOut && !(protocol === RTPROT_KERNEL && isHost)
}

/** @returns undefined for what is no unicast route over one link and no blackhole (local, multicast, cached, multipath) */
export function parseRoute({ body }: NetlinkMessage): ListedRoute | undefined {
  const isBlackhole = body[7] === RTN_BLACKHOLE
  if (!isBlackhole && (body[7] !== RTN_UNICAST || body.readUInt32LE(8) & RTM_F_CLONED)) return undefined
  const attributes = readAttributes(body.subarray(INFO_BYTES))
  const linkIndex = isBlackhole ? 0 : readU32(attributes.get(RTA_OIF)) // a blackhole's link says nothing
  if (linkIndex === undefined) return undefined
  const family: Family = body[0] === AF[4] ? 4 : 6
  const destination = attributes.get(RTA_DST)
  const gateway = attributes.get(RTA_GATEWAY)
  return {
    destination: `${destination ? addressOf(destination) : anyAddress(family)}/${body[1]}`,
    ...(gateway && { gateway: addressOf(gateway) }),
    table: readU32(attributes.get(RTA_TABLE)) ?? body[4] ?? 0,
    metric: readU32(attributes.get(RTA_PRIORITY)) ?? 0,
    protocol: body[5] ?? 0,
    linkIndex,
    ...(isBlackhole && { isBlackhole }),
  }
}

/** The link that the route of an RTM_NEWROUTE or RTM_DELROUTE leaves over, where it is one. */
export function routeLinkOf({ body }: NetlinkMessage): number | undefined {
  return readU32(readAttributes(body.subarray(INFO_BYTES)).get(RTA_OIF))
}

/**
 * The single host in the main table that an RTM_NEWROUTE or RTM_DELROUTE is about, wherever its packets are sent,
 * dropped or refused.
 */
export function routedHostOf({ body }: NetlinkMessage): string | undefined {
  const family: Family = body[0] === AF[4] ? 4 : 6
  if (body[1] !== ADDRESS_BITS[family] || body[4] !== RT_TABLE_MAIN || body.readUInt32LE(8) & RTM_F_CLONED)
    return undefined
  const destination = readAttributes(body.subarray(INFO_BYTES)).get(RTA_DST)
  return destination && addressOf(destination)
}

/** Where would a packet to this address go? The answer is one message, for isLocalRoute and parseWayOut. */
export function getRoute(address: string, source?: string): NetlinkRequest {
  const info = Buffer.alloc(INFO_BYTES)
  info[0] = AF[familyOf(address)]
  info[1] = ADDRESS_BITS[familyOf(address)]
  const attributes = [attribute(RTA_DST, addressBytes(address))]
  if (source !== undefined) {
    info[2] = ADDRESS_BITS[familyOf(source)]
    attributes.push(attribute(RTA_SRC, addressBytes(source)))
  }
  return {
    name: `route get ${address}${source === undefined ? '' : ` from ${source}`}`,
    type: RTM_GETROUTE,
    body: Buffer.concat([info, ...attributes]),
  }
}

/** A link, and the router where there is one. @returns undefined for what is taken in here or goes nowhere */
export function parseWayOut({ body }: NetlinkMessage): WayOut | undefined {
  const attributes = readAttributes(body.subarray(INFO_BYTES))
  const linkIndex = readU32(attributes.get(RTA_OIF))
  if (body[7] !== RTN_UNICAST || linkIndex === undefined) return undefined
  const gateway = attributes.get(RTA_GATEWAY) ?? attributes.get(RTA_VIA)?.subarray(VIA_FAMILY_BYTES)
  return { linkIndex, ...(gateway && { gateway: addressOf(gateway) }) }
}

/** The packet would be taken in here. */
export function isLocalRoute({ body }: NetlinkMessage): boolean {
  return body[7] === RTN_LOCAL
}

export function anyAddress(family: Family): string {
  return family === 4 ? '0.0.0.0' : '::'
}

/** The route's destination when it is a single host, as every pod's is. */
export function hostOf(route: Route): string | undefined {
  const [address = '', length] = route.destination.split('/')
  return Number(length) === ADDRESS_BITS[familyOf(address)] ? address : undefined
}

function routeMessage(verb: string, linkIndex: number, route: Route) {
  const [address = '', prefixLength = '0'] = route.destination.split('/')
  const over = route.isBlackhole ? '' : `${route.gateway ? ` via ${route.gateway}` : ''} dev ${linkIndex}`
  const info = Buffer.alloc(INFO_BYTES)
  info[0] = AF[familyOf(address)]
  info[1] = Number(prefixLength)
  info[5] = route.protocol
  info[6] = route.gateway || route.isBlackhole || familyOf(address) === 6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK
  info[7] = route.isBlackhole ? RTN_BLACKHOLE : RTN_UNICAST
  info.writeUInt32LE(route.isOnlink ? RTNH_F_ONLINK : 0, 8)
  return {
    name: `route ${verb} ${route.isBlackhole ? 'blackhole ' : ''}${route.destination}${over}`,
    body: Buffer.concat([
      info,
      ...(prefixLength === '0' ? [] : [attribute(RTA_DST, addressBytes(address))]),
      ...(route.gateway ? [attribute(RTA_GATEWAY, addressBytes(route.gateway))] : []),
      ...(route.metric ? [u32(RTA_PRIORITY, route.metric)] : []),
      ...(route.isBlackhole ? [] : [u32(RTA_OIF, linkIndex)]),
      u32(RTA_TABLE, route.table),
    ]),
  }
}
