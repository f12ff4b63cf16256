import t from 'tap'
import { attribute, text } from '../../../agent/kernel/attributes.ts'
import { bindNflog, parseNflog } from '../../../agent/kernel/nflog-message.ts'

const PACKET = 0x400 // NFNL_SUBSYS_ULOG, NFULNL_MSG_PACKET
const be32 = (type: number, value: number) => attribute(type, Buffer.from([0, 0, value >> 8, value & 0xff]))
/** A TCP packet to port 80, cut off behind its ports. */
const TCP = Buffer.from('4500003c00004000400600000a2a00050a2a00069c400050', 'hex')

t.test('a group is bound with the length of the copy, and each packet is counted', async (t) => {
  t.strictSame(bindNflog(0x6272), {
    name: 'nflog bind group 25202',
    type: 0x401,
    body: Buffer.from(
      '00006272' + // AF_UNSPEC, NFNETLINK_V0, the group
        '0500010001000000' + // NFULNL_CFG_CMD_BIND
        '0a000200000000800200' + // 128 bytes, NFULNL_COPY_PACKET
        '0000' +
        '080004000000000a' + // 0.1 s
        '0600060000010000', // NFULNL_CFG_F_SEQ
      'hex',
    ),
  })
})

t.test('a packet has the words of its rule, its links and its ends', async (t) => {
  const body = Buffer.concat([
    Buffer.from([2, 0, 0x62, 0x72]),
    attribute(1, Buffer.from([8, 0, 2, 0])),
    text(10, 'closed by NetworkPolicy default/web'),
    be32(4, 7),
    be32(5, 300),
    be32(12, 258),
    attribute(9, TCP),
  ])
  t.strictSame(parseNflog({ type: PACKET, body }), {
    prefix: 'closed by NetworkPolicy default/web',
    inLink: 7,
    outLink: 300,
    sequence: 258,
    header: {
      family: 4,
      source: '10.42.0.5',
      destination: '10.42.0.6',
      protocol: 6,
      sourcePort: 40_000,
      destinationPort: 80,
    },
  })
})

t.test('what is missing is empty; what is no packet, or not IP, is none', async (t) => {
  const only = (...attributes: Buffer[]) => Buffer.concat([Buffer.from([2, 0, 0x62, 0x72]), ...attributes])
  t.match(parseNflog({ type: PACKET, body: only(attribute(9, TCP)) }), {
    prefix: '',
    inLink: 0,
    outLink: 0,
    sequence: 0,
  })
  t.equal(parseNflog({ type: PACKET, body: only() }), undefined)
  t.equal(parseNflog({ type: PACKET, body: Buffer.alloc(0) }), undefined)
  t.equal(parseNflog({ type: PACKET, body: only(attribute(9, Buffer.alloc(40))) }), undefined)
  t.equal(parseNflog({ type: 0x401, body: only(attribute(9, TCP)) }), undefined)
})
