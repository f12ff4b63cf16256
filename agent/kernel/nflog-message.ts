import { attribute, readAttributes, readText, u32 } from './attributes.ts'
import type { NetlinkMessage, NetlinkRequest } from './message.ts'
import { type PacketHeader, parsePacketHeader } from './packet-header.ts'

/** Packets that a rule logs (`log group …`). Numbers are in network order. Pure. */

// include/uapi/linux/netfilter/nfnetlink.h, nfnetlink_log.h
const NFNL_SUBSYS_ULOG = 4
const NFULNL_MSG_PACKET = 0
const NFULNL_MSG_CONFIG = 1
const NFULA_CFG_CMD = 1
const NFULA_CFG_MODE = 2
const NFULA_CFG_TIMEOUT = 4
const NFULA_CFG_FLAGS = 6
const NFULNL_CFG_CMD_BIND = 1
const NFULNL_COPY_PACKET = 2
const NFULNL_CFG_F_SEQ = 1
const NFULA_IFINDEX_INDEV = 4
const NFULA_IFINDEX_OUTDEV = 5
const NFULA_PAYLOAD = 9
const NFULA_PREFIX = 10
const NFULA_SEQ = 12
/** struct nfgenmsg: family, version, resource (the group). */
const INFO_BYTES = 4
/** IP header with the extensions and options that are really seen, and ports. */
const COPY_BYTES = 128
/** In hundredths of a second: so long the kernel collects packets for one message. */
const COLLECTING = 10

export interface LoggedPacket {
  /** As the rule has it. */
  readonly prefix: string
  /** The indexes of links; 0 where there is none. */
  readonly inLink: number
  readonly outLink: number
  readonly header: PacketHeader
  /** Counts what was logged to the group since it was bound, from 0, whether it got here or not. */
  readonly sequence: number
}

/** From then on, the beginning of each packet is sent to the socket that asks, as messages that are no answer. */
export function bindNflog(group: number): NetlinkRequest {
  const mode = Buffer.alloc(6) // struct nfulnl_msg_config_mode
  mode.writeUInt32BE(COPY_BYTES)
  mode[4] = NFULNL_COPY_PACKET
  return {
    name: `nflog bind group ${group}`,
    type: (NFNL_SUBSYS_ULOG << 8) | NFULNL_MSG_CONFIG,
    body: Buffer.concat([
      Buffer.from([0, 0, group >> 8, group & 0xff]),
      attribute(NFULA_CFG_CMD, Uint8Array.of(NFULNL_CFG_CMD_BIND)),
      attribute(NFULA_CFG_MODE, mode),
      u32(NFULA_CFG_TIMEOUT, swapped(COLLECTING)),
      attribute(NFULA_CFG_FLAGS, Uint8Array.of(0, NFULNL_CFG_F_SEQ)),
    ]),
  }
}

/** @returns undefined for another message, and for a packet that is not IP */
export function parseNflog({ type, body }: NetlinkMessage): LoggedPacket | undefined {
  if (type !== ((NFNL_SUBSYS_ULOG << 8) | NFULNL_MSG_PACKET)) return undefined
  const attributes = readAttributes(body.subarray(INFO_BYTES))
  const header = parsePacketHeader(attributes.get(NFULA_PAYLOAD) ?? Buffer.alloc(0))
  const number = (type: number) => attributes.get(type)?.readUInt32BE(0) ?? 0
  return (
    header && {
      prefix: readText(attributes.get(NFULA_PREFIX)) ?? '',
      inLink: number(NFULA_IFINDEX_INDEV),
      outLink: number(NFULA_IFINDEX_OUTDEV),
      header,
      sequence: number(NFULA_SEQ),
    }
  )
}

function swapped(value: number): number {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes.readUInt32LE(0)
}
