import { addressBytes, addressOf, familyOf } from '../../ipam/address.ts'
import { attribute, readAttributes, readU32, u32 } from './attributes.ts'
import { type NetlinkMessage, type NetlinkRequest, NLM_F_CREATE, NLM_F_REPLACE } from './message.ts'
import type { Netlink } from './netlink.ts'

// include/uapi/linux/rtnetlink.h, if_addr.h
export const RTM_NEWADDR = 20
export const RTM_DELADDR = 21
const RTM_GETADDR = 22
const IFA_ADDRESS = 1
const IFA_LOCAL = 2
const IFA_FLAGS = 8
const IFA_F_TEMPORARY = 0x01
const IFA_F_NODAD = 0x02
const IFA_F_DADFAILED = 0x08
const IFA_F_DEPRECATED = 0x20
const IFA_F_TENTATIVE = 0x40
const IFA_F_NOPREFIXROUTE = 0x200
const RT_SCOPE_UNIVERSE = 0
const RT_SCOPE_LINK = 253
const INFO_BYTES = 8
/** include/linux/socket.h */
export const AF = { 4: 2, 6: 10 } as const

/** An address of a link. */
export interface Address {
  readonly address: string
  readonly prefixLength: number
}

/** An address that a link has. */
export interface ListedAddress extends Address {
  readonly linkIndex: number
  /** Nothing to be known by: made for privacy and soon replaced (RFC 8981), running out, or not (yet) usable. */
  readonly isPassing?: boolean
}

/** Without duplicate address detection: the address works at once, and we know that nobody else has it. */
export function addAddress(linkIndex: number, { address, prefixLength }: Address): NetlinkRequest {
  const bytes = addressBytes(address)
  const info = Buffer.alloc(INFO_BYTES)
  info[0] = AF[familyOf(address)]
  info[1] = prefixLength
  info[3] = address.startsWith('fe80:') ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE
  info.writeUInt32LE(linkIndex, 4)
  return {
    name: `address add ${address}/${prefixLength} dev ${linkIndex}`,
    type: RTM_NEWADDR,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    body: Buffer.concat([
      info,
      attribute(IFA_LOCAL, bytes),
      attribute(IFA_ADDRESS, bytes),
      u32(IFA_FLAGS, familyOf(address) === 6 ? IFA_F_NODAD : IFA_F_NOPREFIXROUTE),
    ]),
  }
}

/** What an RTM_NEWADDR or RTM_DELADDR is about. */
export function parseAddress({ body }: NetlinkMessage): ListedAddress | undefined {
  const attributes = readAttributes(body.subarray(INFO_BYTES))
  const bytes = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS)
  const flags = readU32(attributes.get(IFA_FLAGS)) ?? body[2] ?? 0
  // For IPv4 the first of them says that the address is not the link's first one of its network.
  const temporary = body[0] === AF[6] ? IFA_F_TEMPORARY : 0
  const isPassing = (flags & (temporary | IFA_F_DADFAILED | IFA_F_DEPRECATED | IFA_F_TENTATIVE)) !== 0
  return (
    bytes && {
      address: addressOf(bytes),
      prefixLength: body[1] ?? 0,
      linkIndex: body.readUInt32LE(4),
      ...(isPassing && { isPassing }),
    }
  )
}

export function deleteAddress(linkIndex: number, { address, prefixLength }: Address): NetlinkRequest {
  const info = Buffer.alloc(INFO_BYTES)
  info[0] = AF[familyOf(address)]
  info[1] = prefixLength
  info.writeUInt32LE(linkIndex, 4)
  return {
    name: `address delete ${address}/${prefixLength} dev ${linkIndex}`,
    type: RTM_DELADDR,
    body: Buffer.concat([info, attribute(IFA_LOCAL, addressBytes(address))]),
  }
}

export async function listAddresses(netlink: Netlink): Promise<ListedAddress[]> {
  const messages = await netlink.dump({ name: 'address show', type: RTM_GETADDR, body: Buffer.alloc(INFO_BYTES) })
  return messages.flatMap((message) => parseAddress(message) ?? [])
}
