// include/uapi/linux/bpf_common.h, filter.h: classic BPF, struct sock_filter
const LOAD_HALF_ABSOLUTE = 0x28
const JUMP_IF_EQUAL = 0x15
const RETURN = 0x06
const INSTRUCTION_BYTES = 8
const ALL_BYTES = 0xffff_ffff
/** struct nlmsghdr: length, then type. */
const TYPE_OFFSET = 4

/** A socket filter that looks at the first message of a datagram and lets it through when it is of this type. */
export function onlyMessagesOf(type: number): Buffer {
  // The filter reads in network order what netlink writes in the machine's, which is little-endian.
  const swapped = ((type & 0xff) << 8) | (type >> 8)
  return Buffer.concat([
    instruction(LOAD_HALF_ABSOLUTE, TYPE_OFFSET),
    instruction(JUMP_IF_EQUAL, swapped, { onFalse: 1 }),
    instruction(RETURN, ALL_BYTES),
    instruction(RETURN, 0),
  ])
}

/** @param onFalse how many instructions are passed over when the comparison fails */
function instruction(code: number, value: number, { onFalse = 0 } = {}): Buffer {
  const bytes = Buffer.alloc(INSTRUCTION_BYTES)
  bytes.writeUInt16LE(code, 0)
  bytes.writeUInt8(onFalse, 3)
  bytes.writeUInt32LE(value, 4)
  return bytes
}
