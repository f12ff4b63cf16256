import { addressBytes, addressOf, familyOf } from '../../ipam/address.ts'
import { attribute, readAttributes, readU32, u8, u32 } from './attributes.ts'
import type { NetlinkRequest } from './message.ts'
import { newLink } from './new-link.ts'

// include/uapi/linux/if_link.h
const IFLA_VXLAN_ID = 1
const IFLA_VXLAN_LOCAL = 4
const IFLA_VXLAN_LEARNING = 7
const IFLA_VXLAN_PORT = 15
const IFLA_VXLAN_LOCAL6 = 17

/** What makes a VXLAN link the one that it is; of a link that differs in it, a new one has to be made. */
export interface VxlanParameters {
  readonly vni: number
  /** UDP. */
  readonly port: number
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

/** @param info the IFLA_INFO_DATA of a link of kind `vxlan`; undefined when it learns, which ours never do */
export function parseVxlan(info: Buffer): VxlanParameters | undefined {
  const attributes = readAttributes(info)
  const local = attributes.get(IFLA_VXLAN_LOCAL) ?? attributes.get(IFLA_VXLAN_LOCAL6)
  if (!local || attributes.get(IFLA_VXLAN_LEARNING)?.[0] !== 0) return undefined
  return {
    vni: readU32(attributes.get(IFLA_VXLAN_ID)) ?? 0,
    port: attributes.get(IFLA_VXLAN_PORT)?.readUInt16BE(0) ?? 0,
    local: addressOf(local),
  }
}
