import { deepStrictEqual } from 'node:assert'
import fc from 'fast-check'
import t from 'tap'
import type { EchoOutcome } from '../../../agent/kernel/icmp.ts'
import { type Echo, measurePathMtu } from '../../../agent/mtu/path-mtu.ts'

const ANY_TIMES = { numRuns: 2_000 }
const TRIES = 3

/** A path of this MTU, and the sizes that were tried on it. `isLost` is asked for each packet that would get there. */
function path(mtuBytes: number, beyond: EchoOutcome, isLost: () => boolean = () => false) {
  const tried: number[] = []
  const echo: Echo = async (packetBytes) => {
    tried.push(packetBytes)
    if (packetBytes > mtuBytes) return beyond
    return isLost() ? 'lost' : 'answered'
  }
  return { echo, tried }
}

/** [the least, the true MTU, the most]: for links of each family, up to the largest there are. */
const anyPath = fc
  .tuple(fc.constantFrom(68, 1280), fc.integer({ min: 0, max: 64_000 }), fc.integer({ min: 0, max: 1500 }))
  .map(([leastBytes, more, most]) => ({
    leastBytes,
    mtuBytes: leastBytes + more,
    mostBytes: leastBytes + more + most,
  }))

t.test('any true MTU is found to the byte, by a router that says so or without one', async () => {
  await fc.assert(
    fc.asyncProperty(
      anyPath,
      fc.constantFrom<EchoOutcome>('too-big', 'lost'),
      async ({ leastBytes, mtuBytes, mostBytes }, beyond) => {
        const { echo, tried } = path(mtuBytes, beyond)
        const isBlackhole = beyond === 'lost' && mtuBytes < mostBytes
        deepStrictEqual(await measurePathMtu(echo, { leastBytes, mostBytes }), { bytes: mtuBytes, isBlackhole })
        if (tried.some((bytes) => bytes < leastBytes || bytes > mostBytes)) throw new Error('tried outside the bounds')
        if (tried.length > 26 * TRIES) throw new Error(`${tried.length} packets`)
      },
    ),
    ANY_TIMES,
  )
})

t.test('it is found all the same when packets are lost on the way, never three in a row', async () => {
  await fc.assert(
    fc.asyncProperty(
      anyPath,
      fc.constantFrom<EchoOutcome>('too-big', 'lost'),
      fc.infiniteStream(fc.boolean()),
      async ({ leastBytes, mtuBytes, mostBytes }, beyond, losses) => {
        let inARow = 0
        const { echo } = path(mtuBytes, beyond, () => {
          inARow = losses.next().value && inARow < TRIES - 1 ? inARow + 1 : 0
          return inARow > 0
        })
        const isBlackhole = beyond === 'lost' && mtuBytes < mostBytes
        deepStrictEqual(await measurePathMtu(echo, { leastBytes, mostBytes }), { bytes: mtuBytes, isBlackhole })
      },
    ),
    ANY_TIMES,
  )
})

t.test('where all goes through, one packet tells', async (t) => {
  const { echo, tried } = path(1500, 'lost')
  t.strictSame(await measurePathMtu(echo, { leastBytes: 68, mostBytes: 1500 }), { bytes: 1500, isBlackhole: false })
  t.same(tried, [1500])
})

t.test('usual sizes are found with few packets that are waited for in vain', async (t) => {
  const inVain = async (mtuBytes: number, mostBytes: number) => {
    const { echo, tried } = path(mtuBytes, 'lost')
    t.match(await measurePathMtu(echo, { leastBytes: 68, mostBytes }), { bytes: mtuBytes })
    return new Set(tried.filter((bytes) => bytes > mtuBytes)).size
  }
  t.equal(await inVain(1500, 9000), 3) // a switch without jumbo frames between two nodes with
  t.equal(await inVain(1492, 1500), 2)
  t.equal(await inVain(1400, 1500), 3)
})

t.test('an other end that answers nothing is told from a narrow path', async (t) => {
  const { echo, tried } = path(0, 'lost')
  t.match(await measurePathMtu(echo, { leastBytes: 68, mostBytes: 1500 }), { problem: /^does not answer/ })
  t.same(tried, [1500, 68, 68, 68], 'with little patience')
})

t.test('what the network says of the other end is passed on', async (t) => {
  const unreachable = path(0, 'unreachable')
  const bounds = { leastBytes: 1280, mostBytes: 1500 }
  t.match(await measurePathMtu(unreachable.echo, bounds), { problem: /^is unreachable/ })
  let count = 0
  const toldOnce: Echo = async () => (count++ === 0 ? 'unreachable' : 'lost')
  t.match(await measurePathMtu(toldOnce, bounds), { problem: /^is unreachable/ }, 'routers do not say it each time')
  const tiny = path(1279, 'too-big')
  t.match(await measurePathMtu(tiny.echo, bounds), { problem: /^cannot get even 1280 bytes/ })
  t.same(tiny.tried, [1500, 1280], 'a clear answer is not asked for again')
})

t.test('when the time is over, it tells what it knows and no more', async (t) => {
  for (const packets of [2, 3, 4, 5, 6, 7, 8]) {
    const { echo, tried } = path(1450, 'lost')
    const hasTime = () => tried.length < packets
    const found = await measurePathMtu(echo, { leastBytes: 68, mostBytes: 1500, hasTime })
    t.match(found, { problem: /^answers to \d+ bytes; whether to up to \d+ was not found out in time$/ })
    const [passes = 0, fails = 0] = /(\d+) bytes.*up to (\d+)/.exec(JSON.stringify(found))?.slice(1).map(Number) ?? []
    t.ok(passes <= 1450 && 1450 < fails, JSON.stringify(found))
    t.equal(tried.length, packets)
  }
})

t.test('an uplink that is narrower than what paths must carry is measured as it is', async (t) => {
  const { echo } = path(1200, 'too-big')
  t.strictSame(await measurePathMtu(echo, { leastBytes: 1200, mostBytes: 1200 }), { bytes: 1200, isBlackhole: false })
})

t.test('an error of the socket is passed on', async (t) => {
  const echo = async () => {
    throw new Error('no way')
  }
  await t.rejects(measurePathMtu(echo, { leastBytes: 68, mostBytes: 1500 }), { message: 'no way' })
})
