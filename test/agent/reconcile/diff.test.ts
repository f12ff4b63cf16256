import fc from 'fast-check'
import t from 'tap'
import { type Comparison, diff } from '../../../agent/reconcile/diff.ts'

interface Thing {
  readonly name: string
  readonly value: number
}

const COMPARISON: Comparison<Thing> = { key: ({ name }) => name, equal: (a, b) => a.value === b.value }
const thing = (name: string, value = 0): Thing => ({ name, value })
const between = (desired: Thing[], actual: Thing[]) => diff(desired, actual, COMPARISON)

t.test('what is as it should be is no difference', async (t) => {
  t.same(between([], []), { missing: [], changed: [], extra: [] })
  t.same(between([thing('a', 1)], [thing('a', 1)]), { missing: [], changed: [], extra: [] })
})

t.test('what is desired and not there is missing', async (t) => {
  t.same(between([thing('a'), thing('b')], [thing('b')]), { missing: [thing('a')], changed: [], extra: [] })
})

t.test('what is there and not desired is extra', async (t) => {
  t.same(between([thing('b')], [thing('a'), thing('b')]), { missing: [], changed: [], extra: [thing('a')] })
})

t.test('what is there and not equal is changed, with both sides', async (t) => {
  t.same(between([thing('a', 1)], [thing('a', 2)]), {
    missing: [],
    changed: [{ desired: thing('a', 1), actual: thing('a', 2) }],
    extra: [],
  })
})

t.test('of objects with the same key the last one counts', async (t) => {
  t.same(between([thing('a', 1), thing('a', 2)], [thing('a', 2)]), { missing: [], changed: [], extra: [] })
  t.same(between([thing('a', 2)], [thing('a', 1), thing('a', 2)]), { missing: [], changed: [], extra: [] })
})

t.test('anything that can be iterated will do', async (t) => {
  t.same(diff(new Set([thing('a')]), new Map([['x', thing('b')]]).values(), COMPARISON), {
    missing: [thing('a')],
    changed: [],
    extra: [thing('b')],
  })
})

const things = fc.array(fc.record({ name: fc.constantFrom<string>('a', 'b', 'c', 'd', '__proto__'), value: fc.nat(2) }))

t.test('applying a difference to what is there gives what is desired, and then there is none', async () => {
  fc.assert(
    fc.property(things, things, (desired, actual) => {
      const { missing, changed, extra } = between(desired, actual)
      const there = new Map(actual.map((one) => [one.name, one]))
      for (const { name } of extra) if (!there.delete(name)) return false
      for (const pair of changed) {
        if (there.get(pair.actual.name)?.value !== pair.actual.value) return false
        there.set(pair.desired.name, pair.desired)
      }
      for (const one of missing) {
        if (there.has(one.name)) return false
        there.set(one.name, one)
      }
      const wanted = new Map(desired.map((one) => [one.name, one]))
      const after = between(desired, [...there.values()])
      return there.size === wanted.size && after.missing.length + after.changed.length + after.extra.length === 0
    }),
  )
})

t.test('in the other direction missing and extra change places', async () => {
  fc.assert(
    fc.property(things, things, (a, b) => {
      const forth = between(a, b)
      const back = between(b, a)
      return (
        JSON.stringify(forth.missing) === JSON.stringify(back.extra) &&
        forth.changed.length === back.changed.length &&
        JSON.stringify(forth.extra) === JSON.stringify(back.missing)
      )
    }),
  )
})
