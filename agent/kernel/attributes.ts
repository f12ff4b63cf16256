/**
 * Netlink attributes (include/uapi/linux/netlink.h, struct nlattr): u16 length, u16 type, payload, padding to 4 bytes.
 * Numbers are in host order; all machines we run on (arm64, amd64) are little-endian.
 */
const HEADER_BYTES = 4
/** The two highest bits of the type are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER). */
const TYPE_MASK = 0x3fff
const NLA_F_NESTED = 0x8000

export function attribute(type: number, payload: Uint8Array): Buffer {
  const buffer = empty(type, HEADER_BYTES + payload.length)
  buffer.set(payload, HEADER_BYTES)
  return buffer
}

export function nested(type: number, ...attributes: readonly Uint8Array[]): Buffer {
  let bytes = HEADER_BYTES
  for (const { length } of attributes) bytes += length
  const buffer = empty(type | NLA_F_NESTED, bytes)
  let offset = HEADER_BYTES
  for (const inner of attributes) {
    buffer.set(inner, offset)
    offset += inner.length
  }
  return buffer
}

export function u32(type: number, value: number): Buffer {
  const buffer = empty(type, HEADER_BYTES + 4)
  buffer.writeUInt32LE(value, HEADER_BYTES)
  return buffer
}

export function u8(type: number, value: number): Buffer {
  const buffer = empty(type, HEADER_BYTES + 1)
  buffer[HEADER_BYTES] = value
  return buffer
}

/** A string with its closing NUL. */
export function text(type: number, value: string): Buffer {
  const buffer = empty(type, HEADER_BYTES + Buffer.byteLength(value) + 1)
  buffer.write(value, HEADER_BYTES)
  return buffer
}

/** @param bytes with the header, without padding */
function empty(type: number, bytes: number): Buffer {
  const buffer = Buffer.alloc((bytes + 3) & ~3)
  buffer.writeUInt16LE(bytes, 0)
  buffer.writeUInt16LE(type, 2)
  return buffer
}

/** Payloads by type; of an attribute that occurs twice the last counts. A torn tail is ignored. */
export function readAttributes(bytes: Buffer): Map<number, Buffer> {
  const payloads = new Map<number, Buffer>()
  forEachAttribute(bytes, 0, (type, start, end) => payloads.set(type, bytes.subarray(start, end)))
  return payloads
}

/** The payloads of a list, whose elements may be all of one type. A torn tail is ignored. */
export function readElements(bytes: Buffer | undefined): Buffer[] {
  const payloads: Buffer[] = []
  if (bytes) forEachAttribute(bytes, 0, (_, start, end) => payloads.push(bytes.subarray(start, end)))
  return payloads
}

/**
 * Where the payloads are, from the offset on. No generator, and no Buffer for each: a listing has a hundred thousand
 * attributes, and of a link's sixty a few are of interest.
 */
export function forEachAttribute(
  bytes: Buffer,
  from: number,
  take: (type: number, start: number, end: number) => void,
): void {
  let offset = from
  while (offset + HEADER_BYTES <= bytes.length) {
    const length = bytes.readUInt16LE(offset)
    if (length < HEADER_BYTES || offset + length > bytes.length) break
    take(bytes.readUInt16LE(offset + 2) & TYPE_MASK, offset + HEADER_BYTES, offset + length)
    offset += (length + 3) & ~3
  }
}

export function readU32(payload: Buffer | undefined): number | undefined {
  return payload && payload.length >= 4 ? payload.readUInt32LE(0) : undefined
}

export function readText(payload: Buffer | undefined): string | undefined {
  return payload?.toString('utf8').replace(/\0[\s\S]*$/, '')
}
