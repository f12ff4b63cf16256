import t from 'tap'
import { attribute, nested } from '../../../agent/kernel/attributes.ts'
import { deleteConntrack, markConntrack, parseConntrack } from '../../../agent/kernel/conntrack.ts'

const be16 = (type: number, value: number) => attribute(type, Buffer.from([value >> 8, value & 0xff]))
const be32 = (type: number, hex: string) => attribute(type, Buffer.from(hex, 'hex'))

function tuple(type: number, source: number[], destination: number[], ports: [number, number]): Buffer {
  const addresses = nested(1, attribute(1, Buffer.from(source)), attribute(2, Buffer.from(destination)))
  const protocol = nested(2, attribute(1, Buffer.from([6])), be16(2, ports[0]), be16(3, ports[1]))
  return nested(type, addresses, protocol)
}

/** As the kernel writes it: struct nfgenmsg, then the attributes; to a Service at 10.96.0.1 port 80. */
const ORIGINAL = tuple(1, [10, 42, 0, 5], [10, 96, 0, 1], [40_000, 80])
const TRANSLATED = Buffer.concat([
  Buffer.from([2, 0, 0, 0]),
  ORIGINAL,
  tuple(2, [10, 42, 0, 6], [10, 42, 0, 5], [8080, 40_000]),
  be32(3, '0000018e'),
  be32(7, '00000077'),
  be32(8, '10000002'),
  be32(12, '15219660'),
])
/** An echo request to itself, as a kernel wrote it. */
const ECHO = Buffer.from(
  '0a000000540001802c000180140003000000000000000000000000000000000114000400000000000000000000000000000000012400028005000100' +
    '3a0000000600070011fb000005000800800000000500090000000000540002802c000180140003000000000000000000000000000000000114000400' +
    '0000000000000000000000000000000124000280050001003a0000000600070011fb000005000800810000000500090000000000080003000000000a' +
    '080008000000000008000c001521966008000b0000000001080007000000001d',
  'hex',
)

t.test('an entry has both directions, which differ where addresses are translated', async (t) => {
  t.match(parseConntrack({ type: 0x100, body: TRANSLATED }), {
    original: {
      source: '10.42.0.5',
      destination: '10.96.0.1',
      protocol: 6,
      sourcePort: 40_000,
      destinationPort: 80,
    },
    reply: { source: '10.42.0.6', destination: '10.42.0.5', protocol: 6, sourcePort: 8080, destinationPort: 40_000 },
    mark: 0x1000_0002,
    status: 0x18e,
  })
})

t.test('an entry of a protocol without ports has none', async (t) => {
  const echo = { source: '::1', destination: '::1', protocol: 58, sourcePort: 0, destinationPort: 0 }
  t.match(parseConntrack({ type: 0x100, body: ECHO }), { original: echo, reply: echo, mark: 0, status: 10 })
})

t.test('what is no entry of IPv4 or IPv6, or is torn, is passed over', async (t) => {
  const bridged = Buffer.from(TRANSLATED)
  bridged[0] = 7
  t.equal(parseConntrack({ type: 0x100, body: bridged }), undefined)
  t.equal(parseConntrack({ type: 0x100, body: TRANSLATED.subarray(0, 40) }), undefined)
  t.equal(parseConntrack({ type: 0x100, body: Buffer.alloc(0) }), undefined)
})

t.test('a mark is changed by the original direction, under a mask', async (t) => {
  const entry = parseConntrack({ type: 0x100, body: TRANSLATED })
  t.strictSame(entry && markConntrack(entry, 0x1000_0000, 0), {
    name: 'conntrack update protocol 6 10.42.0.5 port 40000 to 10.96.0.1 port 80 mark 0x0/0x10000000',
    type: 0x100, // NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_NEW
    body: Buffer.concat([Buffer.from([2, 0, 0, 0]), ORIGINAL, be32(8, '00000000'), be32(21, '10000000')]),
  })
})

t.test('an entry is deleted by its id, too; one in a zone is found there', async (t) => {
  const zoned = Buffer.concat([TRANSLATED, be16(18, 7)])
  const entry = parseConntrack({ type: 0x100, body: zoned })
  t.strictSame(entry && deleteConntrack(entry), {
    name: 'conntrack delete protocol 6 10.42.0.5 port 40000 to 10.96.0.1 port 80',
    type: 0x102,
    body: Buffer.concat([Buffer.from([2, 0, 0, 0]), ORIGINAL, be16(18, 7), be32(12, '15219660')]),
  })
})
