import fc from 'fast-check'
import t from 'tap'
import { formatMac, linkLocalOf, parseMac } from '../../../agent/kernel/mac.ts'

const mac = fc.uint8Array({ minLength: 6, maxLength: 6 }).map(formatMac)

t.test('parseMac() is the way back from formatMac()', async (t) => {
  fc.assert(fc.property(mac, (text) => formatMac(parseMac(text)) === text))
  t.same([...parseMac('02:1F:00:0a:ff:7e')], [0x02, 0x1f, 0, 0x0a, 0xff, 0x7e])
  t.same([...parseMac('c0:a8:01:02')], [192, 168, 1, 2])
})

t.test('parseMac() refuses what is none', async (t) => {
  for (const text of [
    '',
    '02:1f:00:0a:ff',
    '02:1f:00:0a:ff:7e:00',
    '02-1f-00-0a-ff-7e',
    '2:1f:00:0a:ff:7e',
    '02:1f:00:0a:ff:7g',
  ])
    t.throws(() => parseMac(text), { name: 'RangeError', message: `Cannot parse MAC address "${text}"` })
})

t.test('linkLocalOf() is the EUI-64 address of RFC 4291, appendix A', async (t) => {
  t.equal(linkLocalOf('34:56:78:9a:bc:de'), 'fe80::3656:78ff:fe9a:bcde')
  t.equal(linkLocalOf('ee:ee:ee:ee:ee:ee'), 'fe80::ecee:eeff:feee:eeee')
})

t.test('linkLocalOf() writes as the kernel lists it, in RFC 5952 form', async (t) => {
  // One MAC in 16,384 begins with 02:00: `fe80::0:ff:fe00:0` was never what CHECK found in the kernel.
  t.equal(linkLocalOf('02:00:00:00:00:00'), 'fe80::ff:fe00:0')
  const zeros = fc
    .array(fc.constantFrom(0, 2, 0xff), { minLength: 6, maxLength: 6 })
    .map((bytes) => formatMac(Uint8Array.from(bytes)))
  fc.assert(
    fc.property(fc.oneof(mac, zeros), (mac) => {
      const address = linkLocalOf(mac)
      return new URL(`http://[${address}]/`).hostname === `[${address}]`
    }),
  )
})
