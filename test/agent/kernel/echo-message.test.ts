import fc from 'fast-check'
import t from 'tap'
import { echoRequest, readEchoReply, readQuotedRequest, withoutIpv4Header } from '../../../agent/kernel/echo-message.ts'

const NUMBERS = { identifier: 0x1234, sequence: 0x0007 }

t.test('a request fills the packet up to its size', async (t) => {
  t.equal(echoRequest(4, NUMBERS, 1500).length, 1480)
  t.equal(echoRequest(6, NUMBERS, 1500).length, 1460)
  t.equal(echoRequest(4, NUMBERS, 36).toString('hex'), `08006c1812340007${Buffer.from('path mtu').toString('hex')}`)
  t.equal(echoRequest(6, NUMBERS, 48).toString('hex'), '8000000012340007', 'here the kernel writes the checksum')
})

t.test('the checksum of any request holds: with it, all words sum up to ones', async () => {
  const word = fc.integer({ min: 0, max: 0xffff })
  fc.assert(
    fc.property(word, word, fc.integer({ min: 28, max: 2_000 }), (identifier, sequence, packetBytes) => {
      const message = echoRequest(4, { identifier, sequence }, packetBytes)
      const even = message.length % 2 === 0 ? message : Buffer.concat([message, Buffer.alloc(1)])
      let sum = 0
      for (let offset = 0; offset < even.length; offset += 2) sum += even.readUInt16BE(offset)
      return sum % 0xffff === 0 && sum > 0
    }),
  )
})

t.test('replies and quoted requests are told apart, in each family', async (t) => {
  const reply4 = Buffer.from('0000000012340007', 'hex')
  const reply6 = Buffer.from('8100000012340007', 'hex')
  t.same(readEchoReply(4, reply4), NUMBERS)
  t.same(readEchoReply(6, reply6), NUMBERS)
  t.equal(readEchoReply(6, reply4), undefined)
  t.equal(readEchoReply(4, echoRequest(4, NUMBERS, 68)), undefined)
  t.same(readQuotedRequest(4, echoRequest(4, NUMBERS, 68)), NUMBERS)
  t.same(readQuotedRequest(6, echoRequest(6, NUMBERS, 1280)), NUMBERS)
  t.equal(readQuotedRequest(4, reply4), undefined)
})

t.test('what is cut short is no message', async (t) => {
  t.equal(readEchoReply(4, Buffer.alloc(7)), undefined)
  t.equal(readQuotedRequest(4, Buffer.alloc(0)), undefined)
  t.equal(withoutIpv4Header(Buffer.alloc(0)).length, 0)
})

t.test('an IPv4 header goes with its options', async (t) => {
  const packet = (words: number) =>
    Buffer.concat([Buffer.from([0x40 | words]), Buffer.alloc(words * 4 - 1), Buffer.from('x')])
  for (const words of [5, 6, 15]) t.equal(withoutIpv4Header(packet(words)).toString(), 'x')
})
