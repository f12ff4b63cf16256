import fc from 'fast-check'
import t from 'tap'
import {
  attribute,
  nested,
  readAttributes,
  readText,
  readU32,
  text,
  u8,
  u32,
} from '../../../agent/kernel/attributes.ts'

t.test('an attribute is length, type and payload, padded to four bytes', async (t) => {
  t.equal(attribute(3, Buffer.from('abc')).toString('hex'), '0700' + '0300' + '616263' + '00')
  t.equal(attribute(3, Buffer.alloc(0)).toString('hex'), '0400' + '0300')
  t.equal(u8(10, 255).toString('hex'), '0500' + '0a00' + 'ff' + '000000')
  t.equal(u32(4, 1450).toString('hex'), '0800' + '0400' + 'aa050000')
  t.equal(u32(27, 0xffff_ffff).toString('hex'), '0800' + '1b00' + 'ffffffff')
  t.equal(text(3, 'eth0').toString('hex'), '0900' + '0300' + '6574683000' + '000000')
})

t.test('attributes in an attribute carry the flag NLA_F_NESTED', async (t) => {
  t.equal(nested(18, u8(1, 7)).toString('hex'), '0c00' + '1280' + '0500010007000000')
})

t.test('readAttributes() gives the payloads by type, without flags', async (t) => {
  const read = readAttributes(Buffer.concat([text(3, 'eth0'), nested(18, u32(1, 7)), u32(4, 1450)]))
  t.same([...read.keys()], [3, 18, 4])
  t.equal(readText(read.get(3)), 'eth0')
  t.equal(readU32(read.get(4)), 1450)
  t.equal(readU32(readAttributes(read.get(18) ?? Buffer.alloc(0)).get(1)), 7)
})

t.test('of an attribute that occurs twice the last counts', async (t) => {
  t.equal(readU32(readAttributes(Buffer.concat([u32(4, 1), u32(4, 2)])).get(4)), 2)
})

t.test('readAttributes() is the way back from attribute(), whatever the payloads', async () => {
  const one = fc.tuple(fc.integer({ min: 0, max: 0x3fff }), fc.uint8Array({ maxLength: 40 }))
  fc.assert(
    fc.property(fc.uniqueArray(one, { selector: ([type]) => type, maxLength: 8 }), (list) => {
      const read = readAttributes(Buffer.concat(list.map(([type, payload]) => attribute(type, payload))))
      return read.size === list.length && list.every(([type, payload]) => read.get(type)?.equals(payload))
    }),
  )
})

t.test('a torn tail is ignored: what came whole is there', async () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 12 }), { maxLength: 6 }), fc.nat(100), (payloads, cut) => {
      const parts = payloads.map((payload, index) => attribute(index + 1, payload))
      const bytes = Buffer.concat(parts)
      const read = readAttributes(bytes.subarray(0, Math.min(cut, bytes.length)))
      // The padding behind a payload may be missing, the payload not.
      let end = 0
      const whole = payloads.filter((payload, index) => {
        const start = end
        end += parts[index]?.length ?? 0
        return start + 4 + payload.length <= cut
      })
      return read.size === whole.length
    }),
  )
})

t.test('noise is read without a fault', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (noise) => {
      for (const payload of readAttributes(Buffer.from(noise)).values()) {
        readText(payload)
        readU32(payload)
      }
    }),
    { numRuns: 1000 },
  )
  for (const length of [0, 1, 2, 3]) t.equal(readAttributes(Buffer.from([length, 0, 1, 0, 0, 0, 0, 0])).size, 0)
})

t.test('readText() ends at the first NUL', async (t) => {
  t.equal(readText(Buffer.from('veth\0rest')), 'veth')
  t.equal(readText(Buffer.from('veth')), 'veth')
  t.equal(readText(Buffer.from('\n\0\n')), '\n')
  t.equal(readText(undefined), undefined)
})

t.test('readU32() of what is too short is nothing', async (t) => {
  t.equal(readU32(Buffer.from([1, 0, 0])), undefined)
  t.equal(readU32(undefined), undefined)
})
