import { addressBytes, addressOf, familyOf } from '../../ipam/address.ts'
import { attribute, readAttributes, readU32, u8, u32 } from './attributes.ts'
import type { NetlinkRequest } from './message.ts'
import { newLink } from './new-link.ts'

// include/uapi/linux/if_link.h
const IFLA_VXLAN_ID = 1
const IFLA_VXLAN_GROUP = 2
const IFLA_VXLAN_LINK = 3
const IFLA_VXLAN_LOCAL = 4
const IFLA_VXLAN_TTL = 5
const IFLA_VXLAN_TOS = 6
const IFLA_VXLAN_LEARNING = 7
const IFLA_VXLAN_PROXY = 11
const IFLA_VXLAN_PORT = 15
const IFLA_VXLAN_GROUP6 = 16
const IFLA_VXLAN_LOCAL6 = 17
const IFLA_VXLAN_COLLECT_METADATA = 25
const IFLA_VXLAN_TTL_INHERIT = 28
const IFLA_VXLAN_DF = 29
/** What of ours is never set, since it would flood, answer for others, end before the next router, or leave by one link only. */
const NEVER_SET = [
  IFLA_VXLAN_GROUP,
  IFLA_VXLAN_GROUP6,
  IFLA_VXLAN_LINK,
  IFLA_VXLAN_TTL,
  IFLA_VXLAN_TTL_INHERIT,
  IFLA_VXLAN_TOS,
  IFLA_VXLAN_LEARNING,
  IFLA_VXLAN_PROXY,
  IFLA_VXLAN_COLLECT_METADATA,
  IFLA_VXLAN_DF,
]

/** Of links with the same the kernel takes one. */
export interface VxlanNetwork {
  readonly vni: number
  /** UDP. */
  readonly port: number
}

/** What makes a VXLAN link the one that it is; of a link that differs in it, a new one has to be made. */
export interface VxlanParameters extends VxlanNetwork {
  /** The node's own address, from which tunnel packets are sent. */
  readonly local: string
}

/** A link that learns nothing from the network: where its peers are, it is told (RFC 7348 without flooding). */
export function addVxlanLink(
  link: VxlanParameters & { readonly name: string; readonly mac: string; readonly mtuBytes: number },
): NetlinkRequest {
  const port = Buffer.alloc(2)
  port.writeUInt16BE(link.port)
  return newLink(
    {
      ...link,
      kind: 'vxlan',
      words: `id ${link.vni} local ${link.local} dstport ${link.port} nolearning`,
    },
    u32(IFLA_VXLAN_ID, link.vni),
    attribute(familyOf(link.local) === 4 ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6, addressBytes(link.local)),
    u8(IFLA_VXLAN_LEARNING, 0),
    attribute(IFLA_VXLAN_PORT, port),
  )
}

/** @param info the IFLA_INFO_DATA of a link of kind `vxlan`, whosever it is */
export function parseVxlanNetwork(info: Buffer): VxlanNetwork {
  const attributes = readAttributes(info)
  return {
    vni: readU32(attributes.get(IFLA_VXLAN_ID)) ?? 0,
    port: attributes.get(IFLA_VXLAN_PORT)?.readUInt16BE(0) ?? 0,
  }
}

/** @returns undefined when it is not as ours are made: it learns, leads to one peer, has a TTL of its own … */
export function parseVxlan(info: Buffer): VxlanParameters | undefined {
  const attributes = readAttributes(info)
  const local = attributes.get(IFLA_VXLAN_LOCAL) ?? attributes.get(IFLA_VXLAN_LOCAL6)
  const isSet = (type: number) => attributes.get(type)?.some((byte) => byte !== 0)
  if (!local || NEVER_SET.some(isSet)) return undefined
  return { ...parseVxlanNetwork(info), local: addressOf(local) }
}
