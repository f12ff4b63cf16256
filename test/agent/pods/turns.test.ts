import { setImmediate as eventLoopTurn } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { Turns } from '../../../agent/pods/turns.ts'

/** Lets everything run that can: a turn ends two turns of the event loop after its work, and another may begin then. */
const settled = async () => {
  for (let turn = 0; turn < 5; turn++) await eventLoopTurn()
}

t.test('work on the same key runs one after the other, in the order it came', async (t) => {
  const turns = new Turns()
  const story: string[] = []
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const works = gates.map(({ promise }, index) =>
    turns.take('a', async () => {
      story.push(`begins ${index}`)
      await promise
      story.push(`ends ${index}`)
    }),
  )
  gates[1]?.resolve()
  await settled()
  t.same(story, ['begins 0'])
  gates[0]?.resolve()
  await Promise.all(works)
  t.same(story, ['begins 0', 'ends 0', 'begins 1', 'ends 1'])
})

t.test('who comes when the first is done still waits for the second', async (t) => {
  const turns = new Turns()
  const gate = Promise.withResolvers<void>()
  const first = turns.take('a', async () => {})
  const second = turns.take('a', () => gate.promise)
  await first
  await settled()
  let hasBegun = false
  const third = turns.take('a', async () => {
    hasBegun = true
  })
  await settled()
  t.notOk(hasBegun)
  gate.resolve()
  await Promise.all([second, third])
  t.ok(hasBegun)
})

t.test('work on another key never waits, though one hangs', async (t) => {
  const turns = new Turns()
  turns.take('a', () => new Promise(() => {}))
  t.equal(await turns.take('b', async () => 'done'), 'done')
  await settled()
  t.equal(turns.busy, 1)
})

t.test('the result and the failure are those of the work', async (t) => {
  const turns = new Turns()
  t.equal(await turns.take('a', async () => 7), 7)
  await t.rejects(
    turns.take('a', async () => {
      throw new Error('no')
    }),
    { message: 'no' },
  )
})

t.test('work that throws at once is a failure like any other', async (t) => {
  await t.rejects(
    new Turns().take('a', () => {
      throw new Error('at once')
    }),
    { message: 'at once' },
  )
})

t.test('after a failure the next turn comes', async (t) => {
  const turns = new Turns()
  const failed = turns.take('a', () => Promise.reject(new Error('no')))
  const next = turns.take('a', async () => 'next')
  await t.rejects(failed)
  t.equal(await next, 'next')
})

t.test('busy counts the keys that have work, and nothing is kept of those that have none', async (t) => {
  const turns = new Turns()
  const gate = Promise.withResolvers<void>()
  const works = ['a', 'a', 'b'].map((key) => turns.take(key, () => gate.promise))
  t.equal(turns.busy, 2)
  gate.resolve()
  await Promise.all(works)
  await settled()
  t.equal(turns.busy, 0)
})

t.test('work on many keys gets those that are free, at once, and who comes later waits for it', async (t) => {
  const turns = new Turns()
  const story: string[] = []
  turns.take('hangs', () => new Promise(() => {}))
  const gate = Promise.withResolvers<void>()
  const work = turns.takeFree(['a', 'hangs', 'b'], async (free) => {
    story.push(`has ${[...free].join()}`)
    await gate.promise
    story.push('ends')
  })
  t.ok(turns.isBusy('a'))
  const later = turns.take('a', async () => story.push('later'))
  await settled()
  t.same(story, ['has a,b'])
  gate.resolve()
  await Promise.all([work, later])
  t.same(story, ['has a,b', 'ends', 'later'])
  await settled()
  t.notOk(turns.isBusy('b'))
})

t.test('work on many keys that fails leaves them free', async (t) => {
  const turns = new Turns()
  await t.rejects(
    turns.takeFree(['a', 'b'], () => Promise.reject(new Error('no'))),
    { message: 'no' },
  )
  t.equal(await turns.take('a', async () => 'next'), 'next')
})

t.test('no two works on one key are ever under way together, whatever order they end in', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 12 }), async (s, keys) => {
      const turns = new Turns()
      const under = new Map<string, number>()
      const order = new Map<string, number[]>()
      let together = false
      const works = keys.map((key, index) =>
        turns.take(key, async () => {
          under.set(key, (under.get(key) ?? 0) + 1)
          order.set(key, [...(order.get(key) ?? []), index])
          if (under.get(key) !== 1) together = true
          await s.schedule(Promise.resolve())
          under.set(key, 0)
        }),
      )
      await s.waitFor(Promise.all(works))
      return (
        !together && [...order.values()].every((indexes) => indexes.join() === indexes.toSorted((a, b) => a - b).join())
      )
    }),
    { numRuns: 50 },
  )
})
