import type { Family } from '../../ipam/address.ts'

/** ICMP echo as bytes: RFC 792, RFC 4443 section 4. Pure. */

const ECHO_REQUEST = { 4: 8, 6: 128 } as const
export const ECHO_REPLY = { 4: 0, 6: 129 } as const
const ECHO_HEADER_BYTES = 8
/** Without options: the kernel adds none. */
const IP_HEADER_BYTES = { 4: 20, 6: 40 } as const
/** In a capture it shows whose packets these are. */
const PAYLOAD = 'bramble path mtu '

/** Which request, and which reply belongs to it. */
export interface EchoNumbers {
  readonly identifier: number
  readonly sequence: number
}

/**
 * What goes into the socket so that the packet, with its IP header, has this many bytes.
 * @param packetBytes at least those of the headers
 */
export function echoRequest(family: Family, { identifier, sequence }: EchoNumbers, packetBytes: number): Buffer {
  const message = Buffer.alloc(packetBytes - IP_HEADER_BYTES[family], PAYLOAD)
  message.fill(0, 0, ECHO_HEADER_BYTES)
  message[0] = ECHO_REQUEST[family]
  message.writeUInt16BE(identifier, 4)
  message.writeUInt16BE(sequence, 6)
  // Over IPv6 the checksum covers the addresses, too, and the kernel writes it.
  if (family === 4) message.writeUInt16BE(checksum(message), 2)
  return message
}

/** @returns undefined for what is no echo reply */
export function readEchoReply(family: Family, message: Buffer): EchoNumbers | undefined {
  return readNumbers(message, ECHO_REPLY[family])
}

/** Reads the request that an ICMP error quotes: at least its first eight bytes. */
export function readQuotedRequest(family: Family, message: Buffer): EchoNumbers | undefined {
  return readNumbers(message, ECHO_REQUEST[family])
}

function readNumbers(message: Buffer, type: number): EchoNumbers | undefined {
  if (message.length < ECHO_HEADER_BYTES || message[0] !== type) return undefined
  return { identifier: message.readUInt16BE(4), sequence: message.readUInt16BE(6) }
}

/** A raw IPv4 socket gives packets with their IP header, which says its own length in words: RFC 791, section 3.1. */
export function withoutIpv4Header(packet: Buffer): Buffer {
  return packet.subarray(((packet[0] ?? 0) & 0xf) * 4)
}

/** RFC 1071. */
function checksum(bytes: Buffer): number {
  let sum = bytes.length % 2 === 1 ? (bytes.at(-1) ?? 0) << 8 : 0
  for (let offset = 0; offset + 1 < bytes.length; offset += 2) sum += bytes.readUInt16BE(offset)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}
