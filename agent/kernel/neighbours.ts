import { addressBytes, addressOf, familyOf } from '../../ipam/address.ts'
import { AF } from './addresses.ts'
import { attribute, readAttributes } from './attributes.ts'
import { formatMac, parseMac } from './mac.ts'
import { type NetlinkMessage, type NetlinkRequest, NLM_F_CREATE, NLM_F_REPLACE } from './message.ts'
import type { Netlink } from './netlink.ts'

// include/uapi/linux/rtnetlink.h, neighbour.h
export const RTM_NEWNEIGH = 28
export const RTM_DELNEIGH = 29
const RTM_GETNEIGH = 30
const NDA_DST = 1
const NDA_LLADDR = 2
const NUD_PERMANENT = 0x80
const INFO_BYTES = 12

/** A permanent entry: it is never asked for on the link, and what the link says does not change it. */
export interface Neighbour {
  readonly address: string
  readonly mac: string
}

export function addNeighbour(linkIndex: number, { address, mac }: Neighbour): NetlinkRequest {
  return {
    name: `neighbour replace ${address} lladdr ${mac} dev ${linkIndex} nud permanent`,
    type: RTM_NEWNEIGH,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    body: Buffer.concat([
      neighbourInfo(linkIndex, address),
      attribute(NDA_DST, addressBytes(address)),
      attribute(NDA_LLADDR, parseMac(mac)),
    ]),
  }
}

export function deleteNeighbour(linkIndex: number, { address }: Pick<Neighbour, 'address'>): NetlinkRequest {
  return {
    name: `neighbour delete ${address} dev ${linkIndex}`,
    type: RTM_DELNEIGH,
    body: Buffer.concat([neighbourInfo(linkIndex, address), attribute(NDA_DST, addressBytes(address))]),
  }
}

/** The permanent entries of all links. */
export async function listNeighbours(netlink: Netlink): Promise<(Neighbour & { readonly linkIndex: number })[]> {
  const messages = await netlink.dump({ name: 'neighbour show', type: RTM_GETNEIGH, body: Buffer.alloc(INFO_BYTES) })
  return messages.flatMap((message) => parseNeighbour(message) ?? []).filter(({ mac }) => mac !== '')
}

/** @returns undefined for what is no entry of IPv4 or IPv6; without a MAC where the entry is not permanent (any more) */
export function parseNeighbour({ body }: NetlinkMessage): (Neighbour & { readonly linkIndex: number }) | undefined {
  if (body[0] !== AF[4] && body[0] !== AF[6]) return undefined
  const attributes = readAttributes(body.subarray(INFO_BYTES))
  const address = attributes.get(NDA_DST)
  if (!address) return undefined
  const mac = body.readUInt16LE(8) & NUD_PERMANENT ? attributes.get(NDA_LLADDR) : undefined
  return { address: addressOf(address), mac: mac ? formatMac(mac) : '', linkIndex: body.readInt32LE(4) }
}

/** The link that an RTM_NEWNEIGH or RTM_DELNEIGH is about; of fdb entries the same. */
export function neighbourLinkOf({ body }: NetlinkMessage): number {
  return body.readInt32LE(4)
}

/** struct ndmsg */
function neighbourInfo(linkIndex: number, address: string): Buffer {
  const info = Buffer.alloc(INFO_BYTES)
  info[0] = AF[familyOf(address)]
  info.writeInt32LE(linkIndex, 4)
  info.writeUInt16LE(NUD_PERMANENT, 8)
  return info
}
