import { addressOf, type Family } from '../../ipam/address.ts'

/** The beginning of an IP packet: RFC 791, RFC 8200. Pure. */

// include/uapi/linux/in.h, in6.h
const IPPROTO = { ICMP: 1, IPIP: 4, TCP: 6, UDP: 17, IPV6: 41, GRE: 47, ICMPV6: 58, SCTP: 132 } as const
const IPPROTO_AH = 51
const IPPROTO_FRAGMENT = 44
/** Hop-by-hop options, routing, destination options, mobility, HIP, shim6: each says what is next, and its length in units of 8 bytes. */
const EXTENSIONS: readonly number[] = [0, 43, 60, 135, 139, 140]
const WITH_PORTS: readonly number[] = [IPPROTO.TCP, IPPROTO.UDP, IPPROTO.SCTP]
const IPV4_BYTES = 20
const IPV6_BYTES = 40
const FRAGMENT_BYTES = 8
/** RFC 791: the offset of a fragment, in units of 8 bytes; the rest are flags. */
const FRAGMENT_OFFSET = 0x1fff

export interface PacketHeader {
  readonly family: Family
  readonly source: string
  readonly destination: string
  /** What is carried, behind IPv6's extensions; IPPROTO_*. */
  readonly protocol: number
  /** 0 where there are none: of another protocol, of a fragment that is not the first, or cut off. */
  readonly sourcePort: number
  readonly destinationPort: number
}

/**
 * @param packet from its IP header on; may be cut off anywhere
 * @returns undefined for what is not IP, or too short to hold its addresses
 */
export function parsePacketHeader(packet: Uint8Array): PacketHeader | undefined {
  const bytes = Buffer.from(packet.buffer, packet.byteOffset, packet.length)
  const version = (bytes[0] ?? 0) >> 4
  if (version === 4 && bytes.length >= IPV4_BYTES) return parseIpv4(bytes)
  if (version === 6 && bytes.length >= IPV6_BYTES) return parseIpv6(bytes)
  return undefined
}

function parseIpv4(bytes: Buffer): PacketHeader {
  const protocol = bytes[9] ?? 0
  const headerBytes = ((bytes[0] ?? 0) & 0xf) * 4
  const isFirst = (bytes.readUInt16BE(6) & FRAGMENT_OFFSET) === 0
  return {
    family: 4,
    source: addressOf(bytes.subarray(12, 16)),
    destination: addressOf(bytes.subarray(16, 20)),
    protocol,
    ...ports(protocol, isFirst && headerBytes >= IPV4_BYTES ? bytes.subarray(headerBytes) : undefined),
  }
}

function parseIpv6(bytes: Buffer): PacketHeader {
  const { protocol, payload } = behindExtensions(bytes)
  return {
    family: 6,
    source: addressOf(bytes.subarray(8, 24)),
    destination: addressOf(bytes.subarray(24, 40)),
    protocol,
    ...ports(protocol, payload),
  }
}

/** The payload is undefined where it is in another fragment, or cut off. */
function behindExtensions(bytes: Buffer): { protocol: number; payload?: Buffer } {
  let protocol = bytes[6] ?? 0
  let offset = IPV6_BYTES
  // Each is at least 8 bytes long, so this ends.
  while (offset + 8 <= bytes.length) {
    const lengthByte = bytes[offset + 1] ?? 0
    if (protocol === IPPROTO_FRAGMENT) {
      const isFirst = bytes.readUInt16BE(offset + 2) >> 3 === 0
      protocol = bytes[offset] ?? 0
      if (!isFirst) return { protocol }
      offset += FRAGMENT_BYTES
    } else if (EXTENSIONS.includes(protocol) || protocol === IPPROTO_AH) {
      // The authentication header counts in units of 4 bytes, less 2: RFC 4302, section 2.2.
      const extensionBytes = protocol === IPPROTO_AH ? (lengthByte + 2) * 4 : (lengthByte + 1) * 8
      protocol = bytes[offset] ?? 0
      offset += extensionBytes
    } else return { protocol, payload: bytes.subarray(offset) }
  }
  return { protocol, payload: bytes.subarray(offset) }
}

function ports(protocol: number, payload: Buffer | undefined): Pick<PacketHeader, 'sourcePort' | 'destinationPort'> {
  if (!payload || payload.length < 4 || !WITH_PORTS.includes(protocol)) return { sourcePort: 0, destinationPort: 0 }
  return { sourcePort: payload.readUInt16BE(0), destinationPort: payload.readUInt16BE(2) }
}
