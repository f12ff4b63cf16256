import {
  attribute,
  forEachAttribute,
  nested,
  readAttributes,
  readElements,
  readText,
  readU32,
  text,
  u8,
  u32,
} from './attributes.ts'
import { formatMac, parseMac } from './mac.ts'
import type { NetlinkMessage, NetlinkRequest } from './message.ts'
import type { Netlink } from './netlink.ts'

// include/uapi/linux/rtnetlink.h, if_link.h, if.h
export const RTM_NEWLINK = 16
export const RTM_DELLINK = 17
const RTM_GETLINK = 18
export const RTM_SETLINK = 19
const RTM_NEWLINKPROP = 108
const IFLA_ADDRESS = 1
const IFLA_IFNAME = 3
const IFLA_MTU = 4
const IFLA_LINK = 5
const IFLA_MASTER = 10
const IFLA_LINKINFO = 18
const IFLA_IFALIAS = 20
const IFLA_AF_SPEC = 26
const IFLA_GROUP = 27
const IFLA_EXT_MASK = 29
const IFLA_PROP_LIST = 52
const IFLA_ALT_IFNAME = 53
const IFLA_INFO_KIND = 1
const IFLA_INFO_DATA = 2
const IFLA_INET6_ADDR_GEN_MODE = 8
const IN6_ADDR_GEN_MODE_NONE = 1
const RTEXT_FILTER_SKIP_STATS = 8
const AF_INET6 = 10
const AF_BRIDGE = 7
const IFF_UP = 0x01
const IFF_POINTOPOINT = 0x10
const IFF_RUNNING = 0x40
const INFO_BYTES = 16

/** A network interface, as the kernel lists it. */
export interface Link {
  readonly index: number
  readonly name: string
  /** `veth`, `vxlan`, …; empty for hardware and loopback. */
  readonly kind: string
  readonly mtuBytes: number
  readonly mac: string
  readonly isUp: boolean
  /** Up, with carrier, and the kernel's link watch has made its queue work: what is sent is not dropped. */
  readonly isRunning: boolean
  /** There is one other end, and no neighbours to choose from: WireGuard, Tailscale, PPP. */
  readonly isPointToPoint: boolean
  readonly group: number
  readonly alias: string
  /** Further names, by which the kernel knows it, too. */
  readonly altNames: readonly string[]
  /** The index of the other end of a veth pair, in its own namespace. */
  readonly peerIndex: number
  /** What is particular to the kind, as attributes (IFLA_INFO_DATA). */
  readonly parameters: Buffer
}

export function setLinkUp(index: number): NetlinkRequest {
  return { name: `link set ${index} up`, type: RTM_SETLINK, body: linkInfo({ index, flags: IFF_UP, change: IFF_UP }) }
}

/** The kernel makes no link-local address of its own: ours are given explicitly, without duplicate detection. */
export function setLinkAddressGenerationOff(index: number): NetlinkRequest {
  return {
    name: `link set ${index} addrgenmode none`,
    type: RTM_SETLINK,
    body: Buffer.concat([
      linkInfo({ index }),
      nested(IFLA_AF_SPEC, nested(AF_INET6, u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE))),
    ]),
  }
}

/** @param mac of a link that carries frames; absent: left as it is */
export function setLinkMtu(index: number, mtuBytes: number, mac?: string): NetlinkRequest {
  return {
    name: `link set ${index} mtu ${mtuBytes}${mac === undefined ? '' : ` address ${mac}`}`,
    type: RTM_SETLINK,
    body: Buffer.concat([
      linkInfo({ index }),
      u32(IFLA_MTU, mtuBytes),
      ...(mac === undefined ? [] : [attribute(IFLA_ADDRESS, parseMac(mac))]),
    ]),
  }
}

/** Of a link that is up only since Linux 6.2; EBUSY before. */
export function setLinkName(index: number, name: string): NetlinkRequest {
  return {
    name: `link set ${index} name ${name}`,
    type: RTM_SETLINK,
    body: Buffer.concat([linkInfo({ index }), text(IFLA_IFNAME, name)]),
  }
}

/** @param alias at most 255 bytes (IFALIASZ) */
export function setLinkAlias(index: number, alias: string): NetlinkRequest {
  return {
    name: `link set ${index} alias`,
    type: RTM_SETLINK,
    body: Buffer.concat([linkInfo({ index }), attribute(IFLA_IFALIAS, Buffer.from(alias))]),
  }
}

/** Further names, of up to 127 bytes (ALTIFNAMSIZ); EOPNOTSUPP before Linux 5.5. */
export function addLinkNames(index: number, names: readonly string[]): NetlinkRequest {
  return {
    name: `link property add ${index} altname ${names.join(' ')}`,
    type: RTM_NEWLINKPROP,
    body: Buffer.concat([
      linkInfo({ index }),
      nested(IFLA_PROP_LIST, ...names.map((name) => text(IFLA_ALT_IFNAME, name))),
    ]),
  }
}

export function setLinkGroup(index: number, group: number): NetlinkRequest {
  return {
    name: `link set ${index} group ${group}`,
    type: RTM_SETLINK,
    body: Buffer.concat([linkInfo({ index }), u32(IFLA_GROUP, group)]),
  }
}

/** All links of the group in one go, and so one RCU grace period for all of them; ENODEV when it is empty. */
export function deleteLinkGroup(group: number): NetlinkRequest {
  return {
    name: `link delete group ${group}`,
    type: RTM_DELLINK,
    body: Buffer.concat([linkInfo({}), u32(IFLA_GROUP, group)]),
  }
}

export function deleteLink(index: number): NetlinkRequest {
  return { name: `link delete ${index}`, type: RTM_DELLINK, body: linkInfo({ index }) }
}

/** The answer is one message for parseLink; ENODEV when there is none. */
export function getLink(name: string): NetlinkRequest {
  return {
    name: `link show ${name}`,
    type: RTM_GETLINK,
    body: Buffer.concat([linkInfo({}), text(IFLA_IFNAME, name), u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)]),
  }
}

export async function listLinks(netlink: Netlink): Promise<Link[]> {
  return (await netlink.dump(showLinks())).map(parseLink)
}

/** The indexes of bridges and bonds that other links are ports of. */
export async function listMasters(netlink: Netlink): Promise<Set<number>> {
  const messages = await netlink.dump(showLinks())
  const masters = messages.map(({ body }) => readAttributes(body.subarray(INFO_BYTES)).get(IFLA_MASTER))
  return new Set(masters.flatMap((master) => readU32(master) ?? []))
}

function showLinks(): NetlinkRequest {
  return {
    name: 'link show',
    type: RTM_GETLINK,
    body: Buffer.concat([linkInfo({}), u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)]),
  }
}

/** Not of the link itself, but of its place in a bridge: an RTM_DELLINK then says that it has left the bridge, and lives. */
export function isBridgePortMessage({ body }: NetlinkMessage): boolean {
  return body[0] === AF_BRIDGE
}

/** The link was made just now (ifi_change has all bits), and is not up: who makes it goes on. */
export function isBirth({ type, body }: NetlinkMessage): boolean {
  return type === RTM_NEWLINK && body.readUInt32LE(12) === 0xffff_ffff && !(body.readUInt32LE(8) & IFF_UP)
}

/** The link that an RTM_NEWLINK or RTM_DELLINK is about, without reading the rest. */
export function linkIndexOf({ body }: NetlinkMessage): number {
  return body.readInt32LE(4)
}

/** The kernel may make IPv6 addresses of its own on the link. Only events tell; listings leave it out with the counters. */
export function generatesAddresses({ body }: NetlinkMessage): boolean {
  const specifics = readAttributes(body.subarray(INFO_BYTES)).get(IFLA_AF_SPEC)
  const ipv6 = specifics && readAttributes(specifics).get(AF_INET6)
  const mode = ipv6 && readAttributes(ipv6).get(IFLA_INET6_ADDR_GEN_MODE)
  return mode !== undefined && mode[0] !== IN6_ADDR_GEN_MODE_NONE
}

/** Whether what is sent is not dropped, without reading the rest: see Link. */
export function isRunningLink({ body }: NetlinkMessage): boolean {
  return (body.readUInt32LE(8) & IFF_RUNNING) !== 0
}

export function parseLink(message: NetlinkMessage): Link {
  const { body } = message
  const flags = body.readUInt32LE(8)
  const attributes = wantedAttributes(body)
  const info = attributes.get(IFLA_LINKINFO)
  const infos = info && readAttributes(info)
  const address = attributes.get(IFLA_ADDRESS)
  return {
    index: linkIndexOf(message),
    name: readText(attributes.get(IFLA_IFNAME)) ?? '',
    kind: readText(infos?.get(IFLA_INFO_KIND)) ?? '',
    mtuBytes: readU32(attributes.get(IFLA_MTU)) ?? 0,
    mac: address ? formatMac(address) : '',
    isUp: (flags & IFF_UP) !== 0,
    isRunning: isRunningLink(message),
    isPointToPoint: (flags & IFF_POINTOPOINT) !== 0,
    group: readU32(attributes.get(IFLA_GROUP)) ?? 0,
    alias: readText(attributes.get(IFLA_IFALIAS)) ?? '',
    altNames: readElements(attributes.get(IFLA_PROP_LIST)).map((name) => readText(name) ?? ''),
    peerIndex: readU32(attributes.get(IFLA_LINK)) ?? 0,
    parameters: infos?.get(IFLA_INFO_DATA) ?? Buffer.alloc(0),
  }
}

const WANTED = [IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_LINKINFO, IFLA_IFALIAS, IFLA_GROUP, IFLA_PROP_LIST]

/** A link has some sixty attributes, and each pod that starts three messages about its link. */
function wantedAttributes(body: Buffer): Map<number, Buffer> {
  const wanted = new Map<number, Buffer>()
  forEachAttribute(body, INFO_BYTES, (type, start, end) => {
    if (WANTED.includes(type)) wanted.set(type, body.subarray(start, end))
  })
  return wanted
}

/** struct ifinfomsg */
export function linkInfo(fields: { index?: number; flags?: number; change?: number }): Buffer {
  const buffer = Buffer.alloc(INFO_BYTES)
  buffer.writeInt32LE(fields.index ?? 0, 4)
  buffer.writeUInt32LE(fields.flags ?? 0, 8)
  buffer.writeUInt32LE(fields.change ?? 0, 12)
  return buffer
}
