import t from 'tap'
import { LineBudget } from '../../../agent/enforcement/line-budget.ts'

const [SECOND_MS, MINUTE_MS] = [1_000, 60_000]

t.test('the same is told once a minute', async (t) => {
  const budget = new LineBudget()
  const times = [0, 1, MINUTE_MS - 1, MINUTE_MS, MINUTE_MS + 1]
  t.same(
    times.map((nowMs) => budget.mayTell('a to b', 'a', nowMs)),
    [true, false, false, true, false],
  )
})

t.test('one that scans a thousand ports a second is told of now and then, and hides nobody', async (t) => {
  const budget = new LineBudget()
  let told = 0
  let others = 0
  for (let nowMs = 0; nowMs < MINUTE_MS; nowMs++) {
    if (budget.mayTell(`scanner to port ${nowMs}`, 'scanner', nowMs)) told++
    if (nowMs % (10 * SECOND_MS) === 500 && budget.mayTell(`other ${nowMs}`, `other ${nowMs}`, nowMs)) others++
  }
  t.equal(others, 6, 'each of them')
  t.equal(told, 3 + 5)
})

t.test('of all together no more than five lines a second are told', async (t) => {
  const budget = new LineBudget()
  const told = Array.from({ length: 2_000 }, (_, nowMs) => budget.mayTell(`what ${nowMs}`, `who ${nowMs}`, nowMs))
  t.equal(told.filter(Boolean).length, 10)
})

t.test('who was quiet has all of its part again', async (t) => {
  const budget = new LineBudget()
  const burst = (nowMs: number) =>
    Array.from({ length: 4 }, (_, n) => budget.mayTell(`${nowMs} ${n}`, 'a', nowMs)).filter(Boolean).length
  t.same([burst(0), burst(SECOND_MS), burst(10 * SECOND_MS), burst(5 * MINUTE_MS)], [3, 0, 1, 3])
})
