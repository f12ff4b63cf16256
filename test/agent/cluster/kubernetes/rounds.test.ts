import t from 'tap'
import { Rounds } from '../../../../agent/cluster/kubernetes/rounds.ts'
import { until } from './until.ts'

const FOR_EVER_MS = 600_000

t.test('one round follows the other, after as long as each says', async (t) => {
  let count = 0
  const rounds = new Rounds(async () => (++count < 3 ? 0 : FOR_EVER_MS))
  rounds.start()
  await until('the third round', () => count === 3)
  await rounds.close()
  t.equal(count, 3)
})

t.test('who hurries waits for no pause, not even for one that is still to come', async (t) => {
  let count = 0
  const rounds = new Rounds(async () => {
    if (++count === 1) rounds.hurry()
    return FOR_EVER_MS
  })
  rounds.start()
  await until('the second round', () => count === 2)
  rounds.hurry()
  await until('the third round', () => count === 3)
  await rounds.close()
  t.equal(count, 3)
})

t.test('to close ends the pause, and waits for the round that runs', async (t) => {
  const end = Promise.withResolvers<void>()
  let isOver = false
  const rounds = new Rounds(async (signal) => {
    signal.addEventListener('abort', () => setImmediate(end.resolve))
    await end.promise
    isOver = true
    return FOR_EVER_MS
  })
  rounds.start()
  await rounds.close()
  t.ok(isOver)
  await new Rounds(async () => 0).close()
})
