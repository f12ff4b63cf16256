import fc from 'fast-check'
import t from 'tap'
import { LayeredMap } from '../../../agent/cluster/layered-map.ts'

/** So many that there is a new base now and then. */
const KEY_MAX = 600
const changes = fc.array(
  fc.tuple(fc.integer({ min: 0, max: KEY_MAX }), fc.option(fc.integer(), { nil: undefined, freq: 2 })),
  { maxLength: 200, size: 'max' },
)

function change(map: Map<number, number>, entries: readonly (readonly [number, number | undefined])[]) {
  const next = new Map(map)
  for (const [key, value] of entries)
    if (value === undefined) next.delete(key)
    else next.set(key, value)
  return next
}

const sorted = (entries: Iterable<[number, number]>) => [...entries].sort(([a], [b]) => a - b)

t.test('after any changes it is what a map is that is copied and changed each time', async (t) => {
  fc.assert(
    fc.property(fc.array(changes, { maxLength: 12 }), (rounds) => {
      let plain = new Map<number, number>()
      let layered = LayeredMap.empty<number, number>()
      for (const entries of rounds) {
        plain = change(plain, entries)
        layered = layered.with(entries)
        t.equal(layered.size, plain.size)
        t.strictSame(sorted(layered), sorted(plain))
        for (let key = 0; key <= KEY_MAX; key++) {
          if (layered.get(key) !== plain.get(key) || layered.has(key) !== plain.has(key)) return false
        }
      }
      return true
    }),
    { numRuns: 50 },
  )
})

t.test('it never changes, whatever is made from it', async (t) => {
  fc.assert(
    fc.property(fc.array(changes, { minLength: 2, maxLength: 12 }), (rounds) => {
      const all = [LayeredMap.empty<number, number>()]
      const before = [sorted(all[0] ?? [])]
      for (const entries of rounds) {
        const next = (all.at(-1) ?? LayeredMap.empty<number, number>()).with(entries)
        all.push(next)
        before.push(sorted(next))
      }
      t.strictSame(all.map(sorted), before)
    }),
    { numRuns: 20 },
  )
})

t.test('it is gone through as a map is', async (t) => {
  const map = LayeredMap.empty<string, number>()
    .with([
      ['a', 1],
      ['b', 2],
    ])
    .with([
      ['a', undefined],
      ['c', 3],
    ])
  t.strictSame([...map.keys()], ['b', 'c'])
  t.strictSame([...map.values()], [2, 3])
  t.strictSame([...map.entries()], [...map])
  const told: unknown[] = []
  map.forEach((value, key, whole) => {
    told.push([key, value, whole === map])
  })
  t.strictSame(told, [
    ['b', 2, true],
    ['c', 3, true],
  ])
})
