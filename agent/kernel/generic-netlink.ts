import { readAttributes, text } from './attributes.ts'
import type { NetlinkMessage, NetlinkRequest } from './message.ts'
import type { Netlink } from './netlink.ts'

/**
 * Generic netlink: subsystems of the kernel ("families") that have no protocol number of their own share one protocol.
 * Each has a message type, which the kernel gives it when it is loaded, and begins its messages with a struct
 * genlmsghdr: command, version, two reserved bytes.
 */

// include/uapi/linux/genetlink.h
const GENL_ID_CTRL = 0x10
const CTRL_VERSION = 2
const CTRL_CMD_GETFAMILY = 3
const CTRL_ATTR_FAMILY_ID = 1
const CTRL_ATTR_FAMILY_NAME = 2
const HEADER_BYTES = 4

/** What a message says, but for its name. */
export interface GenericMessage {
  /** The message type of the family, from findFamily. */
  readonly family: number
  readonly command: number
  readonly version: number
}

export function genericRequest(
  name: string,
  { family, command, version }: GenericMessage,
  ...attributes: readonly Buffer[]
): NetlinkRequest {
  return { name, type: family, body: Buffer.concat([Buffer.from([command, version, 0, 0]), ...attributes]) }
}

export function genericAttributes({ body }: NetlinkMessage): Map<number, Buffer> {
  return readAttributes(body.subarray(HEADER_BYTES))
}

/** The answer is one message for parseFamily. */
export function getFamily(name: string): NetlinkRequest {
  const message = { family: GENL_ID_CTRL, command: CTRL_CMD_GETFAMILY, version: CTRL_VERSION }
  return genericRequest(`genl ctrl get name ${name}`, message, text(CTRL_ATTR_FAMILY_NAME, name))
}

/** @returns the message type of the family */
export function parseFamily(message: NetlinkMessage): number | undefined {
  return genericAttributes(message).get(CTRL_ATTR_FAMILY_ID)?.readUInt16LE(0)
}

/**
 * Looks up a family, and has the kernel load its module where there is one.
 * @param netlink of the protocol `generic`
 * @throws KernelError ENOENT where the kernel has no such family
 */
export async function findFamily(netlink: Netlink, name: string): Promise<number> {
  const [[message] = []] = await netlink.send([getFamily(name)])
  const family = message && parseFamily(message)
  if (family === undefined) throw new Error(`the kernel names no message type for "${name}"`)
  return family
}
