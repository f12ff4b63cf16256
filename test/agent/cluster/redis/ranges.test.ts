import t from 'tap'
import { cidrsOfLease, indicesOf, rangesOf } from '../../../../agent/cluster/redis/ranges.ts'
import { parseCidr } from '../../../../ipam/address.ts'

const MASKS = { 4: 24, 6: 64 }
const ranges = (cidrs: string[], masks = MASKS) => rangesOf(cidrs.map(parseCidr), masks)

t.test('a cluster is cut into equal parts, counted from 0', async (t) => {
  const [range] = ranges(['10.42.0.0/16'])
  t.match(range, { family: 4, text: '10.42.0.0/16 in /24', capacity: 256 })
  t.same(range?.cidrAt('17'), parseCidr('10.42.17.0/24'))
  t.equal(range?.indexOf(parseCidr('10.42.17.0/24')), '17')
  t.equal(ranges(['10.42.0.0/23'])[0]?.capacity, 2)
})

t.test('an index beyond what a double counts is exact', async (t) => {
  const [range] = ranges(['fd00::/8'], { 4: 24, 6: 120 })
  t.equal(range?.capacity, Number.MAX_SAFE_INTEGER)
  const index = String(2n ** 100n + 3n)
  const cidr = range?.cidrAt(index)
  t.ok(cidr)
  t.same(cidr, parseCidr(cidr?.text ?? ''))
  t.equal(cidr && range?.indexOf(cidr), index)
})

t.test('what is no part of the cluster has no index', async (t) => {
  const [range] = ranges(['10.42.0.0/16'])
  for (const text of ['10.41.255.0/24', '10.43.0.0/24', '10.42.0.0/25', '10.42.0.0/16', 'fd42::/64'])
    t.equal(range?.indexOf(parseCidr(text)), undefined, text)
})

t.test('a lease names a CIDR of each family; noise in it is left out', async (t) => {
  const both = ranges(['fd42::/48', '10.42.0.0/16'])
  t.same(
    both.map(({ family }) => family),
    [4, 6],
  )
  const cidrs = cidrsOfLease(both, '4:3 6:10')
  t.same(
    cidrs.map(({ text }) => text),
    ['10.42.3.0/24', 'fd42:0:0:a::/64'],
  )
  t.same(indicesOf(both, cidrs), ['3', '10'])
  t.same(indicesOf(both, []), ['', ''])
  t.same(cidrsOfLease(both, 'noise 4:x 7:1'), [])
  t.same(cidrsOfLease(both, '4:256 4:99999999999999999999 6:65536'), [], 'beyond the end of the cluster')
})

t.test('settings that make no cluster are refused with what to change', async (t) => {
  t.throws(() => ranges(['10.42.0.0/25']), {
    code: 'JOIN',
    message: /10\.42\.0\.0\/25 has no \/24 in it; .*--node-mask /,
  })
  t.throws(() => ranges(['10.42.0.0/24']), {
    code: 'JOIN',
    message: /10\.42\.0\.0\/24 is one \/24, and leaves nothing for other nodes; give --node-mask a longer prefix/,
  })
  t.throws(() => ranges(['fd42::/72']), { code: 'JOIN', message: /--node-mask-ipv6/ })
  t.throws(() => ranges([]), { code: 'JOIN' })
  t.throws(() => ranges(['10.1.0.0/16', '10.2.0.0/16']), { code: 'JOIN', message: /one CIDR of each family/ })
})
