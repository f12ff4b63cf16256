import fc from 'fast-check'
import t from 'tap'
import { isStrictlyInside, merge, parseRange, subtract } from '../../../agent/cluster/address-ranges.ts'
import type { AddressRange } from '../../../agent/cluster/policy.ts'
import { isWithin } from '../../../agent/policy/ranges.ts'

/** Of so few addresses that ranges touch, overlap and repeat. */
const LAST = 20n
const range: fc.Arbitrary<AddressRange> = fc
  .record({
    family: fc.constantFrom(4 as const, 6 as const),
    first: fc.bigInt(0n, LAST),
    more: fc.bigInt(0n, LAST / 2n),
  })
  .map(({ family, first, more }) => ({ family, first, last: first + more }))

const members = (ranges: readonly AddressRange[]) =>
  ([4, 6] as const).flatMap((family) =>
    Array.from({ length: 2 * Number(LAST) }, (_, i) => BigInt(i))
      .filter((number) => ranges.some((one) => one.family === family && one.first <= number && number <= one.last))
      .map((number) => `${family}/${number}`),
  )

function isInOrder(ranges: readonly AddressRange[]): boolean {
  return ranges.every(({ family, first, last }, i) => {
    const before = ranges[i - 1]
    return (
      first <= last && (!before || before.family < family || (before.family === family && before.last + 1n < first))
    )
  })
}

t.test('merged ranges have the same addresses, in order, none touching another', async () =>
  fc.assert(
    fc.property(fc.array(range), (ranges) => {
      const merged = merge(ranges)
      t.equal(isInOrder(merged), true)
      t.same(members(merged), members(ranges))
    }),
  ),
)

t.test('what is subtracted is gone, and nothing else', async () =>
  fc.assert(
    fc.property(range, fc.array(range), (whole, exceptions) => {
      const left = subtract(whole, exceptions)
      const gone = new Set(members(exceptions))
      t.equal(isInOrder(left), true)
      t.same(
        members(left),
        members([whole]).filter((member) => !gone.has(member)),
      )
    }),
  ),
)

t.test('an address is found in ranges exactly where it is', async () =>
  fc.assert(
    fc.property(
      fc.array(range),
      fc.constantFrom(4 as const, 6 as const),
      fc.bigInt(0n, LAST),
      (ranges, family, number) =>
        isWithin(merge(ranges), family, number) === members(ranges).includes(`${family}/${number}`),
    ),
  ),
)

t.test('a part is strictly inside of what is larger, and of the same family', async (t) => {
  const range = (text: string) => parseRange(text) ?? { family: 4 as const, first: 1n, last: 0n }
  const inside = (inner: string, outer: string) => isStrictlyInside(range(inner), range(outer))
  t.ok(inside('10.1.0.0/16', '10.0.0.0/8'))
  t.notOk(inside('10.0.0.0/8', '10.0.0.0/8'))
  t.notOk(inside('10.0.0.0/8', '10.1.0.0/16'))
  t.notOk(inside('11.0.0.0/16', '10.0.0.0/8'))
  t.notOk(inside('::/16', '0.0.0.0/0'))
})

t.test('what is no CIDR is none', async (t) => {
  for (const text of [
    '',
    '/',
    '/8',
    '10.0.0.0',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0/8',
    '10.0.0.0.0/8',
    '256.0.0.0/8',
    '10..0.0/8',
    '0x0a.0.0.0/8',
    ' 10.0.0.0/8',
    '10.0.0.0/8\n',
    ':/8',
    ':::/8',
    '1::2::3/64',
    'fd00::/129',
    'fd00::g/64',
    'fe80::1%eth0/64',
    '::ffff:10.0.0.0/104',
  ])
    t.equal(parseRange(text), undefined, JSON.stringify(text))
  t.same(parseRange('::/0'), { family: 6, first: 0n, last: (1n << 128n) - 1n })
  t.same(parseRange('010.000.0.255/32'), { family: 4, first: 0x0a00_00ffn, last: 0x0a00_00ffn })
})
