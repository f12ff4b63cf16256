import fc from 'fast-check'
import t from 'tap'
import { parseCidr } from '../../ipam/address.ts'
import { type Lease, Leases, PoolExhaustedError } from '../../ipam/leases.ts'
import { COOL_DOWN_MS } from '../../ipam/pool.ts'

const DUAL = ['10.42.0.0/29', 'fd42::/124']

/** Leases with a clock in the test's hand, and what they gave to the store. */
function setUp(cidrs = DUAL) {
  const clock = { nowMs: 0 }
  const stored: { addresses: readonly string[]; freedAtMs: number }[] = []
  const store = { append: (addresses: readonly string[], freedAtMs: number) => stored.push({ addresses, freedAtMs }) }
  return { leases: new Leases(cidrs.map(parseCidr), store, () => clock.nowMs), clock, stored }
}

const owner = (containerId: string, ifname = 'eth0') => ({
  containerId,
  ifname,
  network: 'pods',
  pod: `default/${containerId}`,
})
const lease = (containerId: string, ...addresses: string[]): Lease => ({ ...owner(containerId), addresses })

t.test('reserve() gives one address of each family', async (t) => {
  const { leases } = setUp()
  t.same(leases.reserve(owner('a')), { ...owner('a'), addresses: ['10.42.0.1', 'fd42::1'] })
  t.same(leases.reserve(owner('b')).addresses, ['10.42.0.2', 'fd42::2'])
})

t.test('reserve() gives one address where there is one family', async (t) => {
  t.same(setUp(['10.42.0.0/24']).leases.reserve(owner('a')).addresses, ['10.42.0.1'])
  t.same(setUp(['fd42::/64']).leases.reserve(owner('a')).addresses, ['fd42::1'])
})

t.test('reserve() gives each interface of a container its own addresses', async (t) => {
  const { leases } = setUp()
  const addresses = ['eth0', 'eth1'].flatMap((ifname) => leases.reserve(owner('a', ifname)).addresses)
  t.equal(new Set(addresses).size, 4)
  t.same(leases.get('a', 'eth1')?.addresses, addresses.slice(2))
})

t.test('reserve() for an attachment that has a lease is a defect of the caller', async (t) => {
  const { leases } = setUp()
  leases.reserve(owner('a'))
  t.throws(() => leases.reserve(owner('a')), { message: 'reserved twice: a:eth0' })
  t.equal(leases.use()[0]?.used, 1)
})

for (const [small, cidrs, capacity] of [
  ['10.42.0.0/31', ['10.42.0.0/31', 'fd42::/64'], 1],
  ['fd42::/126', ['10.42.0.0/24', 'fd42::/126'], 3],
] as const)
  t.test(`when ${small} is exhausted, reserve() takes nothing of the other family`, async (t) => {
    const { leases } = setUp([...cidrs])
    for (let index = 0; index < capacity; index++) leases.reserve(owner(`c${index}`))
    const before = leases.use()
    t.throws(() => leases.reserve(owner('late')), {
      code: 'POOL_EXHAUSTED',
      cidr: small,
      capacity,
      message: `no address is free in ${small}: all ${capacity} are held`,
    })
    t.same(leases.use(), before)
    t.equal(leases.get('late', 'eth0'), undefined)
    leases.release('c0', 'eth0')
    t.equal(leases.reserve(owner('late')).addresses.length, 2, 'and it heals with the next release')
  })

t.test('release() lets both addresses rest and tells the store', async (t) => {
  const { leases, clock, stored } = setUp()
  leases.reserve(owner('a'))
  clock.nowMs = 5000
  leases.release('a', 'eth0')
  t.equal(leases.get('a', 'eth0'), undefined)
  t.same(stored, [{ addresses: ['10.42.0.1', 'fd42::1'], freedAtMs: 5000 }])
  t.same(leases.freed(), [
    { address: '10.42.0.1', freedAtMs: 5000 },
    { address: 'fd42::1', freedAtMs: 5000 },
  ])
  t.same(
    leases.use().map(({ cooling }) => cooling),
    [1, 1],
  )
  clock.nowMs += COOL_DOWN_MS
  t.same(
    leases.use().map(({ cooling }) => cooling),
    [0, 0],
  )
})

t.test('release() of what has no lease is success and changes nothing', async (t) => {
  const { leases, stored } = setUp()
  leases.reserve(owner('a'))
  leases.release('a', 'eth1')
  leases.release('b', 'eth0')
  leases.release('a', 'eth0')
  leases.release('a', 'eth0')
  t.equal(stored.length, 1)
})

t.test('adopt() holds the addresses that were found in the kernel', async (t) => {
  const { leases } = setUp()
  t.same(leases.adopt(lease('old', '10.42.0.1', 'fd42::1')), [])
  t.same(leases.get('old', 'eth0'), lease('old', '10.42.0.1', 'fd42::1'))
  t.same(leases.reserve(owner('new')).addresses, ['10.42.0.2', 'fd42::2'])
})

t.test(
  'adopt() keeps addresses outside of the pools: they are in use, whatever the configuration says by now',
  async (t) => {
    const { leases, stored } = setUp()
    t.same(leases.adopt(lease('old', '10.99.0.5', 'fd99::5')), [])
    t.same(leases.list(), [lease('old', '10.99.0.5', 'fd99::5')])
    leases.release('old', 'eth0')
    t.same(leases.freed(), [])
    t.same(
      stored.map(({ addresses }) => addresses),
      [['10.99.0.5', 'fd99::5']],
    )
  },
)

t.test('adopt() of the first address of a CIDR is no conflict', async (t) => {
  t.same(setUp().leases.adopt(lease('old', '10.42.0.0', 'fd42::')), [])
})

t.test('adopt() names the addresses that another lease holds', async (t) => {
  const { leases } = setUp()
  leases.adopt(lease('a', '10.42.0.3', 'fd42::3'))
  t.same(leases.adopt(lease('b', '10.42.0.3', 'fd42::4')), ['10.42.0.3'])
})

t.test('an address that two pods were found to have is free when both are gone, not before', async (t) => {
  const { leases, stored } = setUp()
  leases.adopt(lease('a', '10.42.0.3', 'fd42::3'))
  leases.adopt(lease('b', '10.42.0.3', 'fd42::4'))
  leases.release('a', 'eth0')
  t.same(
    leases.freed().map(({ address }) => address),
    ['fd42::3'],
  )
  t.notOk(leases.reserve(owner('c')).addresses.includes('10.42.0.3'))
  leases.release('b', 'eth0')
  t.same(
    stored.map(({ addresses }) => addresses),
    [['fd42::3'], ['10.42.0.3', 'fd42::4']],
  )
  t.ok(leases.freed().some(({ address }) => address === '10.42.0.3'))
})

t.test('restoreFreed() continues the rest of before the restart, but not of what is held by now', async (t) => {
  const { leases, clock } = setUp()
  clock.nowMs = 70_000
  leases.adopt(lease('a', '10.42.0.2', 'fd42::2'))
  leases.restoreFreed([
    { address: '10.42.0.1', freedAtMs: 1000 },
    { address: '10.42.0.2', freedAtMs: 30_000 },
    { address: 'fd42::1', freedAtMs: 30_000 },
    { address: '192.0.2.1', freedAtMs: 30_000 },
  ])
  t.same(leases.freed(), [
    { address: '10.42.0.1', freedAtMs: 1000 },
    { address: 'fd42::1', freedAtMs: 30_000 },
  ])
  t.same(
    leases.use().map(({ used, cooling }) => [used, cooling]),
    [
      [1, 0],
      [1, 1],
    ],
  )
  t.same(leases.reserve(owner('b')).addresses, ['10.42.0.3', 'fd42::3'])
})

t.test('rest() lets addresses rest whose lease is not known', async (t) => {
  const { leases, clock, stored } = setUp()
  clock.nowMs = 9
  leases.rest(['10.42.0.1', 'fd42::1', '192.0.2.1'])
  t.same(
    leases.freed().map(({ address }) => address),
    ['10.42.0.1', 'fd42::1'],
  )
  t.same(stored, [{ addresses: ['10.42.0.1', 'fd42::1', '192.0.2.1'], freedAtMs: 9 }])
})

t.test('ownerless() tells of addresses that pods may get what was so when it was called', async (t) => {
  const { leases } = setUp()
  leases.adopt(lease('a', '10.42.0.1', 'fd42::1'))
  leases.adopt(lease('b', '10.43.0.2'))
  const isOwnerless = leases.ownerless()
  leases.reserve(owner('c'))
  leases.release('a', 'eth0')
  for (const address of ['10.42.0.2', 'fd42::2', '10.42.0.7']) t.ok(isOwnerless(address), address)
  for (const address of ['10.42.0.1', 'fd42::1', '10.42.0.0', 'fd42::', '10.43.0.2', '10.43.0.3', '192.0.2.1'])
    t.notOk(isOwnerless(address), address)
})

t.test('PoolExhaustedError is an Error with its facts as fields', async (t) => {
  t.match(new PoolExhaustedError('10.42.0.0/24', 255), { cidr: '10.42.0.0/24', capacity: 255, code: 'POOL_EXHAUSTED' })
})

t.test('no address is ever held twice, and both families come and go together, whatever happens', async () => {
  const step = fc.record({
    act: fc.constantFrom('reserve' as const, 'reserve' as const, 'release' as const, 'wait' as const),
    containerId: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'),
    ifname: fc.constantFrom('eth0', 'eth1'),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const { leases, clock, stored } = setUp()
      const expected = new Map<string, string>()
      let released = 0
      for (const { act, containerId, ifname } of steps) {
        const key = `${containerId}:${ifname}`
        if (act === 'wait') clock.nowMs += 20_000
        if (act === 'release') {
          leases.release(containerId, ifname)
          if (expected.delete(key)) released++
        }
        if (act === 'reserve' && !expected.has(key)) {
          const isFull = expected.size === 7 // of 10.42.0.0/29
          try {
            expected.set(key, leases.reserve(owner(containerId, ifname)).addresses.join())
            if (isFull) return false
          } catch (error) {
            if (!isFull || !(error instanceof PoolExhaustedError)) throw error
          }
        }
        const held = leases.list().flatMap(({ addresses }) => addresses)
        const uses = leases.use()
        const isRight =
          new Set(held).size === held.length &&
          held.length === 2 * expected.size &&
          uses.every(({ used }) => used === expected.size) &&
          leases.list().every((one) => expected.get(`${one.containerId}:${one.ifname}`) === one.addresses.join()) &&
          stored.length === released
        if (!isRight) return false
      }
      return true
    }),
    { numRuns: 300 },
  )
})
