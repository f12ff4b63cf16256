import t from 'tap'
import { parsePacketHeader } from '../../../agent/kernel/packet-header.ts'

const ports = Buffer.from([0x9c, 0x40, 0x1f, 0x90]) // 40000, 8080
const PORTS = { sourcePort: 40_000, destinationPort: 8080 }
const NO_PORTS = { sourcePort: 0, destinationPort: 0 }

function ipv4(protocol: number, payload: Buffer, { options = 0, fragment = 0 } = {}): Buffer {
  const header = Buffer.alloc(20 + options)
  header[0] = 0x40 | (header.length / 4)
  header.writeUInt16BE(fragment, 6)
  header[9] = protocol
  header.set([10, 42, 0, 5, 198, 51, 100, 1], 12)
  return Buffer.concat([header, payload])
}

function ipv6(next: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(40)
  header[0] = 0x60
  header[6] = next
  header.set([0xfd, 0x42], 8)
  header[23] = 5
  header.set([0x20, 0x01, 0x0d, 0xb8], 24)
  header[39] = 1
  return Buffer.concat([header, payload])
}

const V4 = { family: 4, source: '10.42.0.5', destination: '198.51.100.1' }
const V6 = { family: 6, source: 'fd42::5', destination: '2001:db8::1' }
const extension = (next: number, words = 0) => Buffer.from([next, words, ...Array<number>(6 + 8 * words).fill(1)])
const fragment = (next: number, offset: number) =>
  Buffer.from([next, 0, (offset << 3) >> 8, ((offset << 3) & 0xff) | 1, 0, 0, 0, 7])

for (const [name, protocol] of [
  ['TCP', 6],
  ['UDP', 17],
  ['SCTP', 132],
] as const)
  t.test(`${name} has its ports`, async (t) => {
    t.strictSame(parsePacketHeader(ipv4(protocol, ports)), { ...V4, protocol, ...PORTS })
    t.strictSame(parsePacketHeader(ipv6(protocol, ports)), { ...V6, protocol, ...PORTS })
  })

t.test('other protocols have none', async (t) => {
  for (const protocol of [1, 4, 47, 50])
    t.strictSame(parsePacketHeader(ipv4(protocol, ports)), { ...V4, protocol, ...NO_PORTS })
  for (const protocol of [58, 41, 59])
    t.strictSame(parsePacketHeader(ipv6(protocol, ports)), { ...V6, protocol, ...NO_PORTS })
})

t.test('options and extensions are passed over', async (t) => {
  t.match(parsePacketHeader(ipv4(6, ports, { options: 40 })), { protocol: 6, ...PORTS })
  const hopByHop = Buffer.concat([extension(60), extension(43, 1), extension(6), ports])
  t.match(parsePacketHeader(ipv6(0, hopByHop)), { protocol: 6, ...PORTS })
  const authentication = Buffer.from([17, 4, ...Array<number>(22).fill(0)]) // RFC 4302: (4 + 2) * 4 bytes
  t.match(parsePacketHeader(ipv6(51, Buffer.concat([authentication, ports]))), { protocol: 17, ...PORTS })
})

t.test('a first fragment has ports, a later one only a protocol', async (t) => {
  const MORE = 0x2000
  t.match(parsePacketHeader(ipv4(17, ports, { fragment: MORE })), { protocol: 17, ...PORTS })
  t.match(parsePacketHeader(ipv4(17, ports, { fragment: MORE | 185 })), { protocol: 17, ...NO_PORTS })
  t.match(parsePacketHeader(ipv6(44, Buffer.concat([fragment(17, 0), ports]))), { protocol: 17, ...PORTS })
  t.match(parsePacketHeader(ipv6(44, Buffer.concat([fragment(17, 185), ports]))), { protocol: 17, ...NO_PORTS })
})

t.test('a packet that is cut off anywhere has what is there, or is none', async (t) => {
  for (const packet of [
    ipv4(6, ports, { options: 8 }),
    ipv6(0, Buffer.concat([extension(44), fragment(60, 0), extension(6, 2), ports])),
  ])
    for (let length = 0; length <= packet.length; length++) {
      const header = parsePacketHeader(packet.subarray(0, length))
      t.equal(header !== undefined, length >= ((packet[0] ?? 0) === 0x60 ? 40 : 20))
      if (header && length < packet.length) t.match(header, NO_PORTS)
    }
})

t.test('what is not IP is none', async (t) => {
  t.equal(parsePacketHeader(Buffer.alloc(64)), undefined)
  t.equal(parsePacketHeader(Buffer.alloc(64, 0xff)), undefined)
})

t.test('lengths that lie lead nowhere', async (t) => {
  const short = ipv4(6, ports)
  short[0] = 0x41 // a header of 4 bytes
  t.match(parsePacketHeader(short), { protocol: 6, ...NO_PORTS })
  const long = ipv4(6, ports)
  long[0] = 0x4f
  t.match(parsePacketHeader(long), { protocol: 6, ...NO_PORTS })
  t.match(parsePacketHeader(ipv6(0, Buffer.concat([extension(6), ports]).fill(255, 1, 2))), {
    protocol: 6,
    ...NO_PORTS,
  })
})
