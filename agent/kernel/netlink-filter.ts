// include/uapi/linux/bpf_common.h, filter.h: classic BPF, struct sock_filter
const LOAD_HALF_ABSOLUTE = 0x28
const LOAD_WORD_ABSOLUTE = 0x20
const LOAD_WORD_INDEXED = 0x40
const LOAD_BYTE_INDEXED = 0x50
const LOAD_LENGTH = 0x80
const X_IS = 0x01
const LOAD_X = 0x61
const STORE_A = 0x02
const STORE_X = 0x03
const A_TO_X = 0x07
const ADD = 0x04
const ADD_X = 0x0c
const AND = 0x54
const SHIFT_LEFT = 0x64
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

/** Each message that is looked at takes 300 bytes of what a socket may have (net.core.optmem_max), for two filters at a time. */
const MESSAGES_MAX = 24

/**
 * Lets a datagram through when any of its messages has these four ASCII characters at the offset, or when there are more
 * messages in it than are looked at.
 */
export function onlyWithText(offset: number, characters: string): Buffer {
  const text = Buffer.from(characters, 'latin1').readUInt32BE(0)
  const [REST, SHIFTED] = [0, 1] // words of the filter's memory
  // X is where the message begins. Where there is none any more, a load ends the filter: nothing is let through.
  const look = [
    instruction(LOAD_WORD_INDEXED, offset),
    instruction(JUMP_IF_EQUAL, text, { onFalse: 1 }),
    instruction(RETURN, ALL_BYTES),
    // Its length, rounded up to a multiple of four, in the order of the machine: the lower byte comes first.
    instruction(STORE_X, REST),
    instruction(LOAD_BYTE_INDEXED, 1),
    instruction(SHIFT_LEFT, 8),
    instruction(STORE_A, SHIFTED),
    instruction(LOAD_BYTE_INDEXED, 0),
    instruction(LOAD_X, SHIFTED),
    instruction(ADD_X),
    instruction(ADD, 3),
    instruction(AND, 0xffff_fffc),
    instruction(LOAD_X, REST),
    instruction(ADD_X),
    instruction(A_TO_X),
  ]
  return Buffer.concat([
    instruction(X_IS, 0),
    ...Array.from({ length: MESSAGES_MAX }, () => look).flat(),
    instruction(LOAD_WORD_INDEXED, offset),
    instruction(RETURN, ALL_BYTES),
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
function instruction(code: number, value = 0, jumps: { onTrue?: number; onFalse?: number } = {}): Buffer {
  const bytes = Buffer.alloc(INSTRUCTION_BYTES)
  bytes.writeUInt16LE(code, 0)
  bytes.writeUInt8(jumps.onTrue ?? 0, 2)
  bytes.writeUInt8(jumps.onFalse ?? 0, 3)
  bytes.writeUInt32LE(value, 4)
  return bytes
}
