import fc from 'fast-check'
import t from 'tap'
import { ADDRESS_BITS, formatAddress, numberOf, parseCidr } from '../../ipam/address.ts'
import { COOL_DOWN_MS, Pool } from '../../ipam/pool.ts'

/** From so many freed addresses on, the oldest rested one goes before one that was never given. */
const FREED_KEPT_MAX = 65_536

const IPV4_LENGTHS = Array.from({ length: 24 }, (_, index) => index + 8)
const IPV6_LENGTHS = Array.from({ length: 80 }, (_, index) => index + 48)

const poolOf = (cidr: string) => new Pool(parseCidr(cidr))
const allCidrs = [
  ...IPV4_LENGTHS.map((length) => `10.0.0.0/${length}`),
  ...IPV6_LENGTHS.map((length) => `fd42::/${length}`),
]

function takeAll(pool: Pool, nowMs = 0): string[] {
  const taken: string[] = []
  while (!pool.isExhausted) taken.push(pool.allocate(nowMs))
  return taken
}

t.test('capacity is all addresses of the CIDR but the first, for any prefix length', async (t) => {
  for (const cidr of allCidrs) {
    const { family, prefixLength } = parseCidr(cidr)
    const capacity = 2n ** BigInt(ADDRESS_BITS[family] - prefixLength) - 1n
    const expected = capacity < BigInt(Number.MAX_SAFE_INTEGER) ? Number(capacity) : Number.MAX_SAFE_INTEGER - 1
    t.equal(poolOf(cidr).capacity, expected, cidr)
  }
})

t.test('allocate() gives the second address of the CIDR first, for any prefix length', async (t) => {
  for (const cidr of allCidrs) t.equal(poolOf(cidr).allocate(0), cidr.startsWith('10') ? '10.0.0.1' : 'fd42::1', cidr)
})

t.test('allocate() gives every address but the first exactly once', async (t) => {
  for (const cidr of [
    '10.42.7.0/24',
    '10.42.7.128/25',
    '10.42.7.8/29',
    '10.42.7.2/31',
    'fd42::/120',
    'fd42::ff00/127',
  ]) {
    const { family, first, prefixLength } = parseCidr(cidr)
    const size = 2 ** (ADDRESS_BITS[family] - prefixLength)
    const all = Array.from({ length: size - 1 }, (_, index) => formatAddress(family, first + BigInt(index + 1)))
    t.same(takeAll(poolOf(cidr)), all, cidr)
  }
})

t.test('the last address of a CIDR is given out: pods have /32, no broadcast', async (t) => {
  t.equal(takeAll(poolOf('10.42.0.0/24')).at(-1), '10.42.0.255')
  t.equal(takeAll(poolOf('fd42::/120')).at(-1), 'fd42::ff')
})

t.test('a CIDR of one address has none to give', async (t) => {
  for (const cidr of ['10.42.0.1/32', 'fd42::1/128']) {
    const pool = poolOf(cidr)
    t.equal(pool.capacity, 0)
    t.ok(pool.isExhausted)
    t.throws(() => pool.allocate(0))
  }
})

t.test('allocate() prefers what was never given to what was freed', async (t) => {
  const pool = poolOf('10.42.0.0/29')
  const address = pool.allocate(0)
  pool.release(address, 0)
  const given = Array.from({ length: 6 }, () => pool.allocate(COOL_DOWN_MS * 2))
  t.notOk(given.includes(address))
  t.equal(pool.allocate(COOL_DOWN_MS * 2), address)
})

t.test('allocate() gives a freed address out last, the oldest-freed first', async (t) => {
  const pool = poolOf('10.42.0.0/24')
  const order = takeAll(pool).sort()
  for (const [index, address] of order.entries()) pool.release(address, index)
  t.same(
    order.map(() => pool.allocate(10 * COOL_DOWN_MS)),
    order,
  )
})

t.test('an address that rests is given again when nothing else is left, the oldest-freed first', async (t) => {
  const pool = poolOf('10.42.0.0/30')
  t.same(takeAll(pool), ['10.42.0.1', '10.42.0.2', '10.42.0.3'])
  pool.release('10.42.0.3', 100)
  pool.release('10.42.0.1', 101)
  t.equal(pool.allocate(102), '10.42.0.3')
  t.equal(pool.allocate(102), '10.42.0.1')
  t.ok(pool.isExhausted)
})

t.test('an exhausted pool heals with the next release', async (t) => {
  const pool = poolOf('fd42::/125')
  const taken = takeAll(pool)
  t.throws(() => pool.allocate(0), { message: 'allocate() on the exhausted pool fd42::/125' })
  pool.release(taken[3] ?? '', 0)
  t.notOk(pool.isExhausted)
  t.equal(pool.allocate(0), taken[3])
  t.ok(pool.isExhausted)
})

t.test('release() of what is not held changes nothing', async (t) => {
  const pool = poolOf('10.42.0.0/24')
  const held = pool.allocate(0)
  pool.release(held, 5)
  const before = [...pool.freed()]
  for (const address of [held, '10.42.0.0', '10.42.0.9', '10.43.0.1', 'fd42::1']) pool.release(address, 9)
  t.same([...pool.freed()], before)
  t.same(pool.use(9), { cidr: '10.42.0.0/24', capacity: 255, used: 0, cooling: 1, free: 254 })
})

t.test('claim() marks an address as held, once', async (t) => {
  const pool = poolOf('10.42.0.0/30')
  t.ok(pool.claim('10.42.0.1'))
  t.notOk(pool.claim('10.42.0.1'))
  t.same(takeAll(pool), ['10.42.0.2', '10.42.0.3'])
  t.notOk(pool.claim('10.42.0.2'), 'allocated is held, too')
})

t.test('claim() takes an address out of its rest', async (t) => {
  const pool = poolOf('10.42.0.0/29')
  pool.rest('10.42.0.1', 0)
  t.ok(pool.claim('10.42.0.1'))
  t.same([...pool.freed()], [])
  t.notOk(takeAll(pool).includes('10.42.0.1'))
})

t.test('claim() lets addresses be that the pool never gives', async (t) => {
  const pool = poolOf('10.42.0.0/24')
  for (const address of ['10.42.0.0', '10.43.0.1', 'fd42::1', 'fd42::']) t.ok(pool.claim(address), address)
  t.equal(pool.use(0).used, 0)
})

t.test('rest() notes what was freed before a restart, and leaves alone what is held', async (t) => {
  const pool = poolOf('10.42.0.0/29')
  pool.claim('10.42.0.2')
  for (const address of ['10.42.0.1', '10.42.0.2', '10.42.0.0', '10.43.0.1']) pool.rest(address, 7)
  t.same([...pool.freed()], [{ address: '10.42.0.1', freedAtMs: 7 }])
  t.equal(pool.allocate(8), '10.42.0.3')
})

t.test('rest() of an address that rests begins its rest anew', async (t) => {
  const pool = poolOf('10.42.0.0/29')
  pool.rest('10.42.0.1', 1)
  pool.rest('10.42.0.2', 2)
  pool.rest('10.42.0.1', 3)
  t.same(
    [...pool.freed()],
    [
      { address: '10.42.0.2', freedAtMs: 2 },
      { address: '10.42.0.1', freedAtMs: 3 },
    ],
  )
})

t.test('use() counts an address as cooling for 60 s', async (t) => {
  const pool = poolOf('10.42.0.0/29')
  pool.release(pool.allocate(0), 1000)
  pool.allocate(0)
  t.same(pool.use(1000 + COOL_DOWN_MS - 1), { cidr: '10.42.0.0/29', capacity: 7, used: 1, cooling: 1, free: 5 })
  t.same(pool.use(1000 + COOL_DOWN_MS), { cidr: '10.42.0.0/29', capacity: 7, used: 1, cooling: 0, free: 6 })
  t.equal(COOL_DOWN_MS, 60_000)
})

t.test('an address that is claimed and freed again in one millisecond counts once', async (t) => {
  const pool = poolOf('10.42.0.0/29')
  pool.release(pool.allocate(0), 5)
  pool.claim('10.42.0.1')
  pool.release('10.42.0.1', 5)
  pool.rest('10.42.0.1', 5)
  t.same([...pool.freed()], [{ address: '10.42.0.1', freedAtMs: 5 }])
  t.equal(pool.use(5).cooling, 1)
})

t.test('a pool remembers a bounded number of freed addresses, however many it gives', async (t) => {
  const pool = poolOf('fd42::/64')
  const seen = new Set<string>()
  const rounds = FREED_KEPT_MAX + 5_000
  for (let ms = 0; ms < rounds; ms++) {
    const address = pool.allocate(ms)
    seen.add(address)
    pool.release(address, ms)
  }
  t.equal([...pool.freed()].length, FREED_KEPT_MAX)
  t.equal(seen.size, FREED_KEPT_MAX)
})

t.test('beyond that number the 60 s of rest still hold', async (t) => {
  const pool = poolOf('fd42::/64')
  const burst = Array.from({ length: FREED_KEPT_MAX + 10 }, () => pool.allocate(0))
  for (const address of burst) pool.release(address, 0)
  t.notOk(burst.includes(pool.allocate(COOL_DOWN_MS - 1)))
  t.equal(pool.allocate(COOL_DOWN_MS), burst[0])
})

t.test('the order holds over thousands of rounds through a small pool', async (t) => {
  const pool = poolOf('10.42.0.0/28')
  const queue = takeAll(pool)
  for (const address of queue) pool.release(address, 0)
  for (let round = 0; round < 6_000; round++) {
    const address = pool.allocate(round)
    if (address !== queue.shift()) t.fail(`out of order in round ${round}`)
    pool.release(address, round)
    queue.push(address)
  }
})

t.test('allocation and release cost the same in a /8 and a /48 as in a /24', async (t) => {
  const costs = ['10.0.0.0/24', '10.0.0.0/16', '10.0.0.0/8', 'fd42::/64', 'fd42::/48'].map((cidr) => {
    const pool = poolOf(cidr)
    return lookUps(() => {
      const held = Array.from({ length: 200 }, () => pool.allocate(0))
      for (const address of held.slice(50)) pool.release(address, 1)
      for (let round = 0; round < 50; round++) pool.release(pool.allocate(2 + round), 2 + round)
    })
  })
  t.ok(costs[0], 'something was counted')
  t.same(new Set(costs).size, 1, `look-ups: ${costs.join(', ')}`)
})

t.test('an allocation costs the same when the pool is all but full', async (t) => {
  const pool = poolOf('10.42.0.0/20')
  const held = takeAll(pool)
  const one = () => {
    pool.release(held.shift() ?? '', 0)
    held.push(pool.allocate(0))
  }
  t.ok(lookUps(one) <= 12)
  t.equal(lookUps(one), lookUps(one))
})

/** How often a Map or Set is asked or changed while `work` runs: what it costs, without a clock. */
function lookUps(work: () => void): number {
  let count = 0
  const originals = [Map.prototype, Set.prototype].flatMap((prototype) =>
    ['has', 'get', 'add', 'set', 'delete'].flatMap((name) => {
      const descriptor = Object.getOwnPropertyDescriptor(prototype, name)
      if (!descriptor) return []
      Object.defineProperty(prototype, name, {
        ...descriptor,
        value(this: unknown, ...args: unknown[]) {
          count++
          return descriptor.value.apply(this, args)
        },
      })
      return [{ prototype, name, descriptor }]
    }),
  )
  try {
    work()
  } finally {
    for (const { prototype, name, descriptor } of originals) Object.defineProperty(prototype, name, descriptor)
  }
  return count
}

/** The pool as one would write it without a thought for speed. */
class NaivePool {
  readonly capacity: number
  held: number[] = []
  freed: { offset: number; freedAtMs: number }[] = []

  constructor(capacity: number) {
    this.capacity = capacity
  }

  allocate(): number {
    const offsets = Array.from({ length: this.capacity }, (_, index) => index + 1)
    const never = offsets.find((offset) => !this.held.includes(offset) && !this.isFreed(offset))
    const offset = never ?? this.freed[0]?.offset ?? 0
    this.unfree(offset)
    this.held.push(offset)
    return offset
  }

  claim(offset: number): boolean {
    if (offset < 1 || offset > this.capacity) return true
    if (this.held.includes(offset)) return false
    this.unfree(offset)
    this.held.push(offset)
    return true
  }

  release(offset: number, nowMs: number): void {
    if (!this.held.includes(offset)) return
    this.held = this.held.filter((held) => held !== offset)
    this.freed.push({ offset, freedAtMs: nowMs })
  }

  rest(offset: number, nowMs: number): void {
    if (offset < 1 || offset > this.capacity || this.held.includes(offset)) return
    this.unfree(offset)
    this.freed.push({ offset, freedAtMs: nowMs })
  }

  cooling(nowMs: number): number[] {
    return this.freed.filter(({ freedAtMs }) => nowMs - freedAtMs < COOL_DOWN_MS).map(({ offset }) => offset)
  }

  isFreed(offset: number): boolean {
    return this.freed.some((entry) => entry.offset === offset)
  }

  unfree(offset: number): void {
    this.freed = this.freed.filter((entry) => entry.offset !== offset)
  }
}

t.test('a pool does what a naive one does, whatever happens', async () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ act: fc.constant('allocate' as const), offset: fc.nat(0) }) },
    { weight: 4, arbitrary: fc.record({ act: fc.constant('release' as const), offset: fc.nat(17) }) },
    {
      weight: 1,
      arbitrary: fc.record({ act: fc.constantFrom('claim' as const, 'rest' as const), offset: fc.nat(17) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ act: fc.constant('wait' as const), offset: fc.constantFrom(1, 30_000, 60_000) }),
    },
  )
  const cidr = fc.constantFrom('10.42.0.16/28', '10.42.0.8/29', '10.42.0.6/31', 'fd42::70/124')
  fc.assert(
    fc.property(cidr, fc.array(step, { maxLength: 120 }), (text, steps) => {
      const pool = poolOf(text)
      const naive = new NaivePool(pool.capacity)
      const addressOf = (offset: number) => formatAddress(pool.cidr.family, pool.cidr.first + BigInt(offset))
      let nowMs = 0
      for (const { act, offset } of steps) {
        if (act === 'wait') nowMs += offset
        if (act === 'release') pool.release(addressOf(offset), nowMs)
        if (act === 'release') naive.release(offset, nowMs)
        if (act === 'rest') pool.rest(addressOf(offset), nowMs)
        if (act === 'rest') naive.rest(offset, nowMs)
        if (act === 'claim' && pool.claim(addressOf(offset)) !== naive.claim(offset)) return false
        if (act === 'allocate' && naive.held.length < naive.capacity) {
          const cooling = naive.cooling(nowMs)
          const restedLeft = naive.capacity - naive.held.length - cooling.length
          const given = pool.allocate(nowMs)
          if (given !== addressOf(naive.allocate())) return false
          // The promise, said anew: no address before its rest is over, unless nothing else is left.
          const givenOffset = Number(numberOf(given) - pool.cidr.first)
          if (givenOffset === 0 || (restedLeft > 0 && cooling.includes(givenOffset))) return false
        }
        const used = naive.held.length
        const cooling = naive.cooling(nowMs).length
        const expected = { cidr: text, capacity: naive.capacity, used, cooling, free: naive.capacity - used - cooling }
        if (JSON.stringify(pool.use(nowMs)) !== JSON.stringify(expected)) return false
        if (pool.isExhausted !== (used === naive.capacity)) return false
        const freed = naive.freed.map(({ offset, freedAtMs }) => ({ address: addressOf(offset), freedAtMs }))
        if (JSON.stringify([...pool.freed()]) !== JSON.stringify(freed)) return false
      }
      return true
    }),
    { numRuns: 400 },
  )
})
