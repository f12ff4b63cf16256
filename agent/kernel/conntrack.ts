import { addressOf, type Family } from '../../ipam/address.ts'
import { AF } from './addresses.ts'
import { attribute, nested, readAttributes } from './attributes.ts'
import type { NetlinkMessage, NetlinkRequest } from './message.ts'

/** The kernel's table of connections. Numbers are in network order, unlike those of other subsystems. */

// include/uapi/linux/netfilter/nfnetlink.h, nfnetlink_conntrack.h
const NFNL_SUBSYS_CTNETLINK = 1
const IPCTNL_MSG_CT_NEW = 0
const IPCTNL_MSG_CT_GET = 1
const IPCTNL_MSG_CT_DELETE = 2
const CTA_TUPLE_ORIG = 1
const CTA_TUPLE_REPLY = 2
const CTA_STATUS = 3
const CTA_PROTOINFO = 4
const CTA_MARK = 8
const CTA_ID = 12
const CTA_ZONE = 18
const CTA_MARK_MASK = 21
const CTA_TUPLE_IP = 1
const CTA_TUPLE_PROTO = 2
const CTA_IP_SRC = { 4: 1, 6: 3 } as const
const CTA_IP_DST = { 4: 2, 6: 4 } as const
const CTA_PROTO_NUM = 1
const CTA_PROTO_SRC_PORT = 2
const CTA_PROTO_DST_PORT = 3
const CTA_PROTOINFO_TCP = 1
const CTA_PROTOINFO_TCP_STATE = 1
const CTA_PROTOINFO_SCTP = 3
const CTA_PROTOINFO_SCTP_STATE = 1
/** TCP_CONNTRACK_TIME_WAIT and _CLOSE in nf_conntrack_tcp.h, SCTP_CONNTRACK_CLOSED in nf_conntrack_sctp.h */
const TCP_ENDED: readonly unknown[] = [7, 8]
const SCTP_ENDED = 1
/** struct nfgenmsg: family, version, resource. */
const INFO_BYTES = 4

/** Past the end of what is read: the kernel writes all of these. */
const NOTHING = Buffer.alloc(0)

/** One direction of a connection, as its packets come in. */
export interface Tuple {
  readonly source: string
  readonly destination: string
  /** IPPROTO_* of include/uapi/linux/in.h */
  readonly protocol: number
  /** 0 where the protocol has no ports. */
  readonly sourcePort: number
  readonly destinationPort: number
}

export interface ConntrackEntry {
  readonly original: Tuple
  /** What answers look like: the mirror image of the original where no address is translated. */
  readonly reply: Tuple
  readonly mark: number
  /** IPS_* of include/uapi/linux/netfilter/nf_conntrack_common.h */
  readonly status: number
  /** What its protocol makes of it, for hasEnded(); a part of the buffer that was received. */
  readonly protocolInfo?: Buffer
  /** What the kernel knows it by, in the kernel's own words: a part of the buffer that was received, so not to be kept. */
  readonly identity: { readonly family: number; readonly tuple: Buffer; readonly zone?: Buffer; readonly id: Buffer }
}

/** The answer is one message for parseConntrack per entry of both families. */
export function listConntrack(): NetlinkRequest {
  return { name: 'conntrack list', type: messageType(IPCTNL_MSG_CT_GET), body: Buffer.alloc(INFO_BYTES) }
}

/** @returns undefined for what is no entry of IPv4 or IPv6 */
export function parseConntrack({ body }: NetlinkMessage): ConntrackEntry | undefined {
  const family = body[0]
  if (family !== AF[4] && family !== AF[6]) return undefined
  const attributes = readAttributes(body.subarray(INFO_BYTES))
  const tuple = attributes.get(CTA_TUPLE_ORIG)
  const reply = attributes.get(CTA_TUPLE_REPLY)
  const id = attributes.get(CTA_ID)
  const zone = attributes.get(CTA_ZONE)
  const protocolInfo = attributes.get(CTA_PROTOINFO)
  if (!tuple || !reply || !id) return undefined
  return {
    original: parseTuple(tuple, family === AF[4] ? 4 : 6),
    reply: parseTuple(reply, family === AF[4] ? 4 : 6),
    mark: attributes.get(CTA_MARK)?.readUInt32BE(0) ?? 0,
    status: attributes.get(CTA_STATUS)?.readUInt32BE(0) ?? 0,
    ...(protocolInfo && { protocolInfo }),
    identity: { family, tuple, id, ...(zone && { zone }) },
  }
}

/** Both ends have closed it, or one has reset it; the kernel only waits for what is late. */
export function hasEnded({ protocolInfo }: Pick<ConntrackEntry, 'protocolInfo'>): boolean {
  if (!protocolInfo) return false
  const state = (protocol: number, attribute: number) =>
    readAttributes(readAttributes(protocolInfo).get(protocol) ?? NOTHING).get(attribute)?.[0]
  return (
    TCP_ENDED.includes(state(CTA_PROTOINFO_TCP, CTA_PROTOINFO_TCP_STATE)) ||
    state(CTA_PROTOINFO_SCTP, CTA_PROTOINFO_SCTP_STATE) === SCTP_ENDED
  )
}

/**
 * Sets some bits of an entry's mark; ENOENT when it is gone. One that has been made in its place meanwhile is changed
 * instead: the kernel does not compare CTA_ID here.
 * @param bits those of `mask` that are to be set; its others are cleared
 */
export function markConntrack(entry: ConntrackEntry, mask: number, bits: number): NetlinkRequest {
  return {
    name: `conntrack update ${textOf(entry.original)} mark ${hex(bits)}/${hex(mask)}`,
    type: messageType(IPCTNL_MSG_CT_NEW),
    body: Buffer.concat([...identify(entry), be32(CTA_MARK, bits), be32(CTA_MARK_MASK, mask)]),
  }
}

/** Deletes this very entry, and never one that has been made in its place; ENOENT when it is gone. */
export function deleteConntrack(entry: ConntrackEntry): NetlinkRequest {
  return {
    name: `conntrack delete ${textOf(entry.original)}`,
    type: messageType(IPCTNL_MSG_CT_DELETE),
    body: Buffer.concat([...identify(entry), attribute(CTA_ID, entry.identity.id)]),
  }
}

function identify({ identity: { family, tuple, zone } }: ConntrackEntry): Buffer[] {
  const info = Buffer.alloc(INFO_BYTES)
  info[0] = family
  return [info, nested(CTA_TUPLE_ORIG, tuple), ...(zone ? [attribute(CTA_ZONE, zone)] : [])]
}

function parseTuple(bytes: Buffer, family: Family): Tuple {
  const parts = readAttributes(bytes)
  const addresses = readAttributes(parts.get(CTA_TUPLE_IP) ?? NOTHING)
  const protocol = readAttributes(parts.get(CTA_TUPLE_PROTO) ?? NOTHING)
  return {
    source: addressOf(addresses.get(CTA_IP_SRC[family]) ?? NOTHING),
    destination: addressOf(addresses.get(CTA_IP_DST[family]) ?? NOTHING),
    protocol: protocol.get(CTA_PROTO_NUM)?.[0] ?? 0,
    sourcePort: protocol.get(CTA_PROTO_SRC_PORT)?.readUInt16BE(0) ?? 0,
    destinationPort: protocol.get(CTA_PROTO_DST_PORT)?.readUInt16BE(0) ?? 0,
  }
}

function messageType(type: number): number {
  return (NFNL_SUBSYS_CTNETLINK << 8) | type
}

function be32(type: number, value: number): Buffer {
  const payload = Buffer.alloc(4)
  payload.writeUInt32BE(value)
  return attribute(type, payload)
}

function textOf({ source, sourcePort, destination, destinationPort, protocol }: Tuple): string {
  return `protocol ${protocol} ${source} port ${sourcePort} to ${destination} port ${destinationPort}`
}

const hex = (bits: number) => `0x${bits.toString(16)}`
