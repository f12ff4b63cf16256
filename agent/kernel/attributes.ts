/**
 * Netlink attributes (include/uapi/linux/netlink.h, struct nlattr): u16 length, u16 type, payload, padding to 4 bytes.
 * Numbers are in host order; all machines we run on (arm64, amd64) are little-endian.
 */
const HEADER_BYTES = 4
/** The two highest bits of the type are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER). */
const TYPE_MASK = 0x3fff
const NLA_F_NESTED = 0x8000

export function attribute(type: number, payload: Uint8Array): Buffer {
  const bytes = HEADER_BYTES + payload.length
  const buffer = Buffer.alloc((bytes + 3) & ~3)
  buffer.writeUInt16LE(bytes, 0)
  buffer.writeUInt16LE(type, 2)
  buffer.set(payload, HEADER_BYTES)
  return buffer
}

export function nested(type: number, ...attributes: readonly Uint8Array[]): Buffer {
  return attribute(type | NLA_F_NESTED, Buffer.concat(attributes))
}

export function u32(type: number, value: number): Buffer {
  const payload = Buffer.alloc(4)
  payload.writeUInt32LE(value)
  return attribute(type, payload)
}

export function u8(type: number, value: number): Buffer {
  return attribute(type, Uint8Array.of(value))
}

/** A string with its closing NUL. */
export function text(type: number, value: string): Buffer {
  return attribute(type, Buffer.from(`${value}\0`))
}

/** Payloads by type; of an attribute that occurs twice the last counts. A torn tail is ignored. */
export function readAttributes(bytes: Buffer): Map<number, Buffer> {
  const payloads = new Map<number, Buffer>()
  forEachAttribute(bytes, (type, payload) => payloads.set(type, payload))
  return payloads
}

/** The payloads of a list, whose elements may be all of one type. A torn tail is ignored. */
export function readElements(bytes: Buffer | undefined): Buffer[] {
  const payloads: Buffer[] = []
  if (bytes) forEachAttribute(bytes, (_, payload) => payloads.push(payload))
  return payloads
}

/** No generator: a listing has a hundred thousand attributes. */
function forEachAttribute(bytes: Buffer, take: (type: number, payload: Buffer) => void): void {
  let offset = 0
  while (offset + HEADER_BYTES <= bytes.length) {
    const length = bytes.readUInt16LE(offset)
    if (length < HEADER_BYTES || offset + length > bytes.length) break
    take(bytes.readUInt16LE(offset + 2) & TYPE_MASK, bytes.subarray(offset + HEADER_BYTES, offset + length))
    offset += (length + 3) & ~3
  }
}

export function readU32(payload: Buffer | undefined): number | undefined {
  return payload && payload.length >= 4 ? payload.readUInt32LE(0) : undefined
}

export function readText(payload: Buffer | undefined): string | undefined {
  return payload?.toString('utf8').replace(/\0[\s\S]*$/, '')
}
