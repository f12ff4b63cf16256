// include/uapi/linux/bpf_common.h, filter.h: classic BPF, struct sock_filter
const LOAD_HALF_ABSOLUTE = 0x28
const LOAD_WORD_ABSOLUTE = 0x20
const LOAD_LENGTH = 0x80
const JUMP_IF_EQUAL = 0x15
const RETURN = 0x06
const INSTRUCTION_BYTES = 8
const ALL_BYTES = 0xffff_ffff
/** struct nlmsghdr: length, type, flags, sequence, port. */
const TYPE_OFFSET = 4
const PORT_OFFSET = 12

/** Lets everything through; in the place of another filter, which cannot be taken away. */
export function everything(): Buffer {
  return instruction(RETURN, ALL_BYTES)
}

export function nothing(): Buffer {
  return instruction(RETURN, 0)
}

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

/** Lets a datagram through when these four ASCII characters are at the offset. */
export function onlyWithText(offset: number, characters: string): Buffer {
  return Buffer.concat([
    instruction(LOAD_WORD_ABSOLUTE, offset),
    instruction(JUMP_IF_EQUAL, Buffer.from(characters, 'latin1').readUInt32BE(0), { onFalse: 1 }),
    instruction(RETURN, ALL_BYTES),
    instruction(RETURN, 0),
  ])
}

/**
 * Lets an event through unless the request of this netlink socket caused it.
 * @param port not 0, by which the kernel says that the change was its own
 */
export function notCausedBy(port: number): Buffer {
  if (port === 0) throw new Error('a netlink socket without a port causes nothing; send a request first')
  return Buffer.concat(unless(PORT_OFFSET, port))
}

/** The same of several sockets, before another filter. */
export function notCausedByAny(ports: Iterable<number>, filter: Buffer): Buffer {
  const drops = Array.from(ports, (port) => [
    instruction(JUMP_IF_EQUAL, swapped32(port), { onFalse: 1 }),
    instruction(RETURN, 0),
  ])
  return Buffer.concat([instruction(LOAD_WORD_ABSOLUTE, PORT_OFFSET), ...drops.flat(), filter])
}

/** Lets a datagram through when it is of this length and has another number at the offset. */
export function onlyWhere({ bytes, offset, isNot }: { bytes: number; offset: number; isNot: number }): Buffer {
  return Buffer.concat([
    instruction(LOAD_LENGTH, 0),
    instruction(JUMP_IF_EQUAL, bytes, { onTrue: 1 }),
    instruction(RETURN, 0),
    ...unless(offset, isNot),
  ])
}

function unless(offset: number, value: number): Buffer[] {
  return [
    instruction(LOAD_WORD_ABSOLUTE, offset),
    instruction(JUMP_IF_EQUAL, swapped32(value), { onFalse: 1 }),
    instruction(RETURN, 0),
    instruction(RETURN, ALL_BYTES),
  ]
}

function swapped32(value: number): number {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes.readUInt32BE(0)
}

/** @param jumps how many instructions are passed over when the comparison holds, and when it fails */
function instruction(code: number, value: number, jumps: { onTrue?: number; onFalse?: number } = {}): Buffer {
  const bytes = Buffer.alloc(INSTRUCTION_BYTES)
  bytes.writeUInt16LE(code, 0)
  bytes.writeUInt8(jumps.onTrue ?? 0, 2)
  bytes.writeUInt8(jumps.onFalse ?? 0, 3)
  bytes.writeUInt32LE(value, 4)
  return bytes
}
