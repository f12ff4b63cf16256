import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { AfterBurst } from '../../agent/after-burst.ts'

const FOR_EVER_MS = 600_000

t.test('the work is done once, when the burst is over', async (t) => {
  let done = 0
  const afterBurst = new AfterBurst(() => done++, 20, FOR_EVER_MS)
  for (let call = 0; call < 100; call++) afterBurst.touched()
  t.equal(done, 0, 'not in the midst of it')
  while (done === 0) await delay(5)
  await delay(60)
  t.equal(done, 1)
})

t.test('the next burst is another one', async (t) => {
  let done = 0
  const afterBurst = new AfterBurst(() => done++, 20, FOR_EVER_MS)
  for (const burst of [1, 2]) {
    afterBurst.touched()
    while (done < burst) await delay(5)
    t.equal(done, burst)
  }
})

t.test('a burst that does not end holds the work up no longer than told', async (t) => {
  let done = 0
  // Of these two the turns of the loop are never a second apart.
  const [endless, bounded] = [
    new AfterBurst(() => done--, 30_000, FOR_EVER_MS),
    new AfterBurst(() => done++, 1_000, 1_200),
  ]
  while (done === 0) {
    endless.touched()
    bounded.touched()
    await nextTurn()
  }
  t.equal(done, 1)
})
