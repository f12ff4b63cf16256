import { closeSync } from 'node:fs'
import { bind } from '../../agent/kernel/libc.ts'
import { inNetns, openNetns } from '../../agent/kernel/netns.ts'

/** Frames as a pod with CAP_NET_RAW, which every container has by default, can make them: with any lie inside. */

// include/uapi/linux/if_packet.h, if_ether.h
const AF_PACKET = 17
const SOCK_RAW = 3
const SOCKADDR_LL_BYTES = 20
const ETH_P_IPV6 = 0x86dd
const ICMPV6 = 58
const ROUTER_ADVERTISEMENT = 134

const socket = bind<[number, number, number]>('int socket(int domain, int type, int protocol)')
const sendto = bind<[number, Buffer, number, number, Buffer, number]>(
  'int sendto(int fd, const uint8_t *bytes, size_t count, int flags, const uint8_t *to, uint32_t toBytes)',
)

/** Sends a frame over a link of a network namespace. */
export function sendFrame(netnsPath: string, linkIndex: number, frame: Buffer): void {
  const netns = openNetns(netnsPath)
  try {
    const fd = inNetns(netns, () => socket(AF_PACKET, SOCK_RAW, 0))
    const to = Buffer.alloc(SOCKADDR_LL_BYTES)
    to.writeUInt16LE(AF_PACKET, 0)
    to.writeInt32LE(linkIndex, 4)
    sendto(fd, frame, frame.length, 0, to, to.length)
    closeSync(fd)
  } finally {
    netns.close()
  }
}

/** A router advertisement (RFC 4861, 4.2) with a default router and a prefix 2001:db8:bad::/64 for addresses. */
export function routerAdvertisement(fromMac: string, fromAddress: string): Buffer {
  const prefix = Buffer.alloc(32) // RFC 4861, 4.6.2
  prefix.set([3, 4, 64, 0xc0])
  prefix.writeUInt32BE(1800, 4)
  prefix.writeUInt32BE(1800, 8)
  prefix.set(ipv6('2001:db8:bad::'), 16)
  const body = Buffer.concat([Buffer.from([ROUTER_ADVERTISEMENT, 0, 0, 0, 64, 0]), Buffer.alloc(10), prefix])
  body.writeUInt16BE(1800, 6)
  const from = ipv6(fromAddress)
  const to = ipv6('ff02::1')
  const pseudo = Buffer.concat([from, to, Buffer.from([0, 0, 0, body.length, 0, 0, 0, ICMPV6])])
  body.writeUInt16BE(checksum(Buffer.concat([pseudo, body])), 2)
  const header = Buffer.from([0x60, 0, 0, 0, 0, body.length, ICMPV6, 255])
  return Buffer.concat([ethernet('33:33:00:00:00:01', fromMac, ETH_P_IPV6), header, from, to, body])
}

export function ethernet(to: string, from: string, protocol: number): Buffer {
  const mac = (text: string) => Buffer.from(text.replaceAll(':', ''), 'hex')
  return Buffer.concat([mac(to), mac(from), Buffer.from([protocol >> 8, protocol & 0xff])])
}

/** Without an IPv4 tail; for texts that the test writes itself. */
function ipv6(text: string): Buffer {
  const [head = '', tail = ''] = text.split('::')
  const groups = (part: string) => part.split(':').filter((group) => group !== '')
  const zeros = Array<string>(8 - groups(head).length - groups(tail).length).fill('0')
  return Buffer.from(
    [...groups(head), ...zeros, ...groups(tail)].map((group) => group.padStart(4, '0')).join(''),
    'hex',
  )
}

/** RFC 1071. */
export function checksum(bytes: Buffer): number {
  let sum = bytes.length % 2 === 1 ? (bytes.at(-1) ?? 0) << 8 : 0
  for (let offset = 0; offset + 1 < bytes.length; offset += 2) sum += bytes.readUInt16BE(offset)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}
