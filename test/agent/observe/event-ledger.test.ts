import fc from 'fast-check'
import t from 'tap'
import { EventLedger, TELL_AGAIN_MS } from '../../../agent/observe/event-ledger.ts'

const degraded = { reason: 'NetworkDegraded', message: 'no way to pi-2' } as const
const drift = { reason: 'DriftRepaired', message: 'a route' } as const
const LOOK_MS = 15_000

t.test('what is over before it was seen twice is not told', async (t) => {
  const ledger = new EventLedger()
  t.same(ledger.look([degraded], 0), [])
  t.same(ledger.look([], LOOK_MS), [])
  t.same(ledger.look([degraded], 2 * LOOK_MS), [])
})

t.test('what lasts is told when it was seen twice, and again every ten minutes', async (t) => {
  const ledger = new EventLedger()
  const toldAtMs: number[] = []
  for (let nowMs = 0; nowMs < 3 * TELL_AGAIN_MS; nowMs += LOOK_MS)
    for (const telling of ledger.look([degraded], nowMs)) {
      t.match(telling, { ...degraded, times: 1 })
      toldAtMs.push(nowMs)
    }
  t.same(toldAtMs, [LOOK_MS, LOOK_MS + TELL_AGAIN_MS, LOOK_MS + 2 * TELL_AGAIN_MS])
})

t.test('what comes and goes is counted meanwhile, and told with the count and the newest message', async (t) => {
  const ledger = new EventLedger()
  const came = (message: string, nowMs: number) => {
    ledger.look([{ ...degraded, message }], nowMs)
    const told = ledger.look([{ ...degraded, message }], nowMs + 1)
    return [...told, ...ledger.look([], nowMs + 2)]
  }
  t.match(came('a', 0), [{ message: 'a', times: 1 }])
  t.same(came('b', 1000), [])
  t.same(came('c', 2000), [])
  t.match(came('d', TELL_AGAIN_MS + 10), [{ message: 'd', times: 3 }])
})

t.test('a repair is told at once, and those of the next ten minutes together at their end', async (t) => {
  const ledger = new EventLedger()
  t.match(ledger.look([drift], 0), [{ times: 1 }])
  for (let nowMs = LOOK_MS; nowMs < 10 * LOOK_MS; nowMs += LOOK_MS) t.same(ledger.look([drift], nowMs), [])
  t.match(ledger.look([], TELL_AGAIN_MS), [{ reason: 'DriftRepaired', times: 9 }])
  t.same(ledger.look([], 3 * TELL_AGAIN_MS), [])
})

t.test('what could not be told is told at the next look', async (t) => {
  const ledger = new EventLedger()
  const [telling] = ledger.look([drift], 0)
  if (telling) ledger.failed(telling, 0)
  t.match(ledger.look([], LOOK_MS), [{ reason: 'DriftRepaired', times: 1 }])
})

t.test('what cannot be told is tried less and less often, and anew once it could be', (t) => {
  const ledger = new EventLedger()
  const fails = (fromMs: number, toMs: number) => {
    const triedMs: number[] = []
    for (let nowMs = fromMs; nowMs <= toMs; nowMs += LOOK_MS)
      for (const telling of ledger.look([degraded], nowMs)) {
        triedMs.push(nowMs)
        ledger.failed(telling, nowMs)
      }
    return triedMs.map((at) => at / LOOK_MS)
  }
  t.same(fails(0, 70 * LOOK_MS), [1, 2, 4, 8, 16, 32, 64])
  const hour = 3_600_000
  for (const telling of ledger.look([degraded], hour)) ledger.told(telling)
  t.same(fails(hour + TELL_AGAIN_MS, hour + TELL_AGAIN_MS + 8 * LOOK_MS).length, 4)
  t.end()
})

t.test('however troubles come and go, none is told twice within ten minutes', async (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), fc.boolean(), fc.nat(TELL_AGAIN_MS / 4)), { maxLength: 100 }),
      (looks) => {
        const ledger = new EventLedger()
        const toldAtMs = new Map<string, number>()
        let nowMs = 0
        for (const [isDegraded, isDrift, waitMs] of looks) {
          nowMs += waitMs
          for (const { reason } of ledger.look(
            [...(isDegraded ? [degraded] : []), ...(isDrift ? [drift] : [])],
            nowMs,
          )) {
            const before = toldAtMs.get(reason)
            t.ok(before === undefined || nowMs - before >= TELL_AGAIN_MS)
            toldAtMs.set(reason, nowMs)
          }
        }
      },
    ),
  )
})
