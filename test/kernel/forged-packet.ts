import { addressBytes, familyOf } from '../../ipam/address.ts'
import { checksum, ethernet } from './packet.ts'

/** Packets that say of themselves what their maker likes; each carries a mark by which rules count it wherever it gets to. */

/** The DSCP of all of them, which nobody else uses. */
export const MARK_DSCP = 42
const TRAFFIC_CLASS = MARK_DSCP << 2

// include/uapi/linux/if_ether.h, in.h, in6.h, icmpv6.h
const ETH_P = { IPV4: 0x0800, ARP: 0x0806, VLAN: 0x8100, IPV6: 0x86dd } as const
export const PROTOCOL = { ICMP: 1, IPIP: 4, UDP: 17, IPV6: 41, GRE: 47, ICMPV6: 58 } as const
const IPPROTO_HOPOPTS = 0
const REDIRECT = 137
const NEIGHBOUR = { solicitation: 135, advertisement: 136 } as const

export interface IpPacket {
  readonly from: string
  readonly to: string
  readonly protocol: number
  readonly payload: Buffer
  /** Of IPv4, in units of 8 bytes; and whether more follow. */
  readonly fragment?: { readonly offset: number; readonly hasMore: boolean }
  /** Of IPv6: a header of hop-by-hop options stands before the payload. */
  readonly hasOptions?: boolean
}

export function ipPacket(packet: IpPacket): Buffer {
  return familyOf(packet.from) === 4 ? ipv4Packet(packet) : ipv6Packet(packet)
}

function ipv4Packet({ from, to, protocol, payload, fragment = { offset: 0, hasMore: false } }: IpPacket): Buffer {
  const header = Buffer.alloc(20)
  header.set([0x45, TRAFFIC_CLASS])
  header.writeUInt16BE(header.length + payload.length, 2)
  header.writeUInt16BE(0x4242, 4) // all fragments of one packet have one number
  header.writeUInt16BE((fragment.hasMore ? 0x2000 : 0) | fragment.offset, 6)
  header.set([64, protocol], 8)
  header.set(addressBytes(from), 12)
  header.set(addressBytes(to), 16)
  header.writeUInt16BE(checksum(header), 10)
  return Buffer.concat([header, payload])
}

function ipv6Packet({ from, to, protocol, payload, hasOptions = false }: IpPacket): Buffer {
  const options = hasOptions ? Buffer.from([protocol, 0, 1, 4, 0, 0, 0, 0]) : Buffer.alloc(0) // PadN: RFC 8200, 4.2
  const header = Buffer.alloc(40)
  header.writeUInt32BE(0x6000_0000 | (TRAFFIC_CLASS << 20))
  header.writeUInt16BE(options.length + payload.length, 4)
  header.set([hasOptions ? IPPROTO_HOPOPTS : protocol, 255], 6)
  header.set(addressBytes(from), 8)
  header.set(addressBytes(to), 24)
  return Buffer.concat([header, options, payload])
}

/** The payload of a UDP packet; the addresses are in its checksum. */
export function udp(from: string, to: string, port: number, content: Buffer = Buffer.from('forged')): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(8), content])
  bytes.writeUInt16BE(4242, 0)
  bytes.writeUInt16BE(port, 2)
  bytes.writeUInt16BE(bytes.length, 4)
  bytes.writeUInt16BE(checksum(Buffer.concat([pseudoHeader(from, to, PROTOCOL.UDP, bytes.length), bytes])) || 0xffff, 6)
  return bytes
}

export function udpPacket(from: string, to: string, port: number, content?: Buffer): Buffer {
  return ipPacket({ from, to, protocol: PROTOCOL.UDP, payload: udp(from, to, port, content) })
}

/** RFC 7348: what a node would unpack, and take for a frame of another node's pod. */
export function vxlanPacket(from: string, to: string, port: number, vni: number, inner: Buffer): Buffer {
  const header = Buffer.alloc(8)
  header[0] = 0x08
  header.writeUInt32BE(vni << 8, 4)
  return udpPacket(from, to, port, Buffer.concat([header, inner]))
}

/** An answer that nobody asked for: "that address has this MAC". */
export function arpReply(mac: string, address: string, to: string): Buffer {
  const body = Buffer.concat([
    Buffer.from([0, 1, 8, 0, 6, 4, 0, 2]),
    macBytes(mac),
    addressBytes(address),
    macBytes('ee:ee:ee:ee:ee:ee'),
    addressBytes(to),
  ])
  return Buffer.concat([ethernet('ff:ff:ff:ff:ff:ff', mac, ETH_P.ARP), body])
}

/** RFC 4861, 4.3 and 4.4, with the MAC that is claimed. */
export function neighbourPacket(
  kind: keyof typeof NEIGHBOUR,
  {
    from,
    to,
    target,
    mac,
  }: { readonly from: string; readonly to: string; readonly target: string; readonly mac: string },
): Buffer {
  const isAdvertisement = kind === 'advertisement'
  const message = Buffer.concat([
    Buffer.from([NEIGHBOUR[kind], 0, 0, 0, isAdvertisement ? 0x20 : 0, 0, 0, 0]), // override
    addressBytes(target),
    Buffer.from([isAdvertisement ? 2 : 1, 1]),
    macBytes(mac),
  ])
  message.writeUInt16BE(checksum(Buffer.concat([pseudoHeader(from, to, PROTOCOL.ICMPV6, message.length), message])), 2)
  return ipPacket({ from, to, protocol: PROTOCOL.ICMPV6, payload: message })
}

/** RFC 4861, 4.5: "the way to that destination is by me". */
export function redirect(from: string, to: string, destination: string): Buffer {
  const message = Buffer.concat([
    Buffer.from([REDIRECT, 0, 0, 0, 0, 0, 0, 0]),
    addressBytes(from),
    addressBytes(destination),
  ])
  message.writeUInt16BE(checksum(Buffer.concat([pseudoHeader(from, to, PROTOCOL.ICMPV6, message.length), message])), 2)
  return ipPacket({ from, to, protocol: PROTOCOL.ICMPV6, payload: message })
}

export function frame(to: string, from: string, packet: Buffer): Buffer {
  const protocol = (packet[0] ?? 0) >> 4 === 4 ? ETH_P.IPV4 : ETH_P.IPV6
  return Buffer.concat([ethernet(to, from, protocol), packet])
}

/** With a tag of IEEE 802.1Q. */
export function taggedFrame(to: string, from: string, vlan: number, packet: Buffer): Buffer {
  const protocol = (packet[0] ?? 0) >> 4 === 4 ? ETH_P.IPV4 : ETH_P.IPV6
  const tag = Buffer.from([vlan >> 8, vlan & 0xff, protocol >> 8, protocol & 0xff])
  return Buffer.concat([ethernet(to, from, ETH_P.VLAN), tag, packet])
}

function pseudoHeader(from: string, to: string, protocol: number, bytes: number): Buffer {
  const tail =
    familyOf(from) === 4 ? [0, protocol, bytes >> 8, bytes & 0xff] : [0, 0, bytes >> 8, bytes & 0xff, 0, 0, 0, protocol]
  return Buffer.concat([addressBytes(from), addressBytes(to), Buffer.from(tail)])
}

function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex')
}
