/**
 * What goes over a netlink socket, as values. The files that say how one kind of object is written and read (links,
 * addresses, routes, neighbours, rules) know no more of the socket than this, and so stay pure.
 */

// include/uapi/linux/netlink.h
export const NLM_F_REQUEST = 0x001
export const NLM_F_ACK = 0x004
export const NLM_F_DUMP_INTR = 0x010
export const NLM_F_DUMP = 0x300
export const NLM_F_REPLACE = 0x100
export const NLM_F_EXCL = 0x200
export const NLM_F_CREATE = 0x400

/** One message to the kernel. `name` says it in the words of `ip`, for errors. */
export interface NetlinkRequest {
  readonly name: string
  readonly type: number
  /** NLM_F_* beyond REQUEST and ACK. */
  readonly flags?: number
  readonly body: Buffer
}

/** One message from the kernel, without its header. */
export interface NetlinkMessage {
  readonly type: number
  readonly body: Buffer
}
