import { addressBytes, addressOf } from '../../ipam/address.ts'
import { attribute, readAttributes } from './attributes.ts'
import { formatMac, parseMac } from './mac.ts'
import { type NetlinkMessage, type NetlinkRequest, NLM_F_CREATE, NLM_F_REPLACE } from './message.ts'
import type { Netlink } from './netlink.ts'

// include/uapi/linux/rtnetlink.h, neighbour.h, if_link.h; include/linux/socket.h
const RTM_NEWNEIGH = 28
const RTM_DELNEIGH = 29
const RTM_GETNEIGH = 30
const AF_BRIDGE = 7
const NDA_DST = 1
const NDA_LLADDR = 2
const NTF_SELF = 0x02
const NUD_PERMANENT = 0x80
const INFO_BYTES = 12

/** Where a VXLAN link sends what is for a MAC: `bridge fdb show`. */
export interface FdbEntry {
  readonly mac: string
  /** The address of the node behind it. */
  readonly remote: string
}

export function addFdbEntry(linkIndex: number, { mac, remote }: FdbEntry): NetlinkRequest {
  return {
    name: `fdb replace ${mac} dst ${remote} dev ${linkIndex}`,
    type: RTM_NEWNEIGH,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    body: Buffer.concat([
      info(linkIndex),
      attribute(NDA_LLADDR, parseMac(mac)),
      attribute(NDA_DST, addressBytes(remote)),
    ]),
  }
}

export function deleteFdbEntry(linkIndex: number, { mac, remote }: FdbEntry): NetlinkRequest {
  return {
    name: `fdb delete ${mac} dst ${remote} dev ${linkIndex}`,
    type: RTM_DELNEIGH,
    body: Buffer.concat([
      info(linkIndex),
      attribute(NDA_LLADDR, parseMac(mac)),
      attribute(NDA_DST, addressBytes(remote)),
    ]),
  }
}

/** The entries of one VXLAN link. */
export async function listFdb(
  netlink: Netlink,
  linkIndex: number,
): Promise<(FdbEntry & { readonly linkIndex: number })[]> {
  const messages = await netlink.dump({
    name: `fdb show dev ${linkIndex}`,
    type: RTM_GETNEIGH,
    body: info(linkIndex),
  })
  return messages.flatMap((message) => parseFdbEntry(message) ?? []).filter((entry) => entry.linkIndex === linkIndex)
}

/** @returns undefined for what is no entry of a VXLAN link (a bridge's, a neighbour) */
export function parseFdbEntry({ body }: NetlinkMessage): (FdbEntry & { readonly linkIndex: number }) | undefined {
  if (body[0] !== AF_BRIDGE) return undefined
  const attributes = readAttributes(body.subarray(INFO_BYTES))
  const mac = attributes.get(NDA_LLADDR)
  const remote = attributes.get(NDA_DST)
  if (!mac || !remote) return undefined
  return { mac: formatMac(mac), remote: addressOf(remote), linkIndex: body.readInt32LE(4) }
}

/** struct ndmsg */
function info(linkIndex: number): Buffer {
  const bytes = Buffer.alloc(INFO_BYTES)
  bytes[0] = AF_BRIDGE
  bytes.writeInt32LE(linkIndex, 4)
  bytes.writeUInt16LE(NUD_PERMANENT, 8)
  bytes[10] = NTF_SELF
  return bytes
}
