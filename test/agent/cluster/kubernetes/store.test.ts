import t from 'tap'
import type { ApiObject } from '../../../../agent/cluster/kubernetes/answers.ts'
import { type Kind, ObjectStore } from '../../../../agent/cluster/kubernetes/store.ts'

interface Sized extends ApiObject {
  readonly size: number | string
}

function object(name: string, size: number | string, namespace?: string): Sized {
  return { metadata: { name, ...(namespace && { namespace }) }, size }
}

/** A size in its place, with the number of times that one was parsed. */
function sizes() {
  const counted = { parsed: 0 }
  const kind: Kind<{ tens: number }> = {
    essence: (one) => String((one as Sized).size),
    parse: (one) => {
      counted.parsed++
      const { size } = one as Sized
      if (typeof size !== 'number') throw new Error(`size is ${size}`)
      return { tens: Math.floor(size / 10) }
    },
  }
  return { kind, counted }
}

function fixture() {
  const { kind, counted } = sizes()
  const told: string[][] = []
  const store = new ObjectStore(kind, (changed) => told.push([...changed].sort()))
  const listed = (...objects: readonly Sized[]) => {
    store.begin()
    for (const one of objects) store.put(one)
    store.end()
  }
  return { store, counted, told, listed }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

t.test('a list is told once, at its end', async (t) => {
  const { store, told, listed } = fixture()
  t.equal(store.isWhole, false)
  listed(object('a', 10), object('b', 20))
  t.equal(store.isWhole, true)
  await turn()
  t.same(told, [['a', 'b']])
  t.same(
    [...store.values()],
    [
      ['a', { tens: 1 }],
      ['b', { tens: 2 }],
    ],
  )
})

t.test('an empty list is told, too: it is known now that there is nothing', async (t) => {
  const { told, listed } = fixture()
  listed()
  await turn()
  t.same(told, [[]])
})

t.test('changes of one turn are told together', async (t) => {
  const { store, told, listed } = fixture()
  listed(object('a', 10), object('b', 20))
  await turn()
  store.put(object('a', 30))
  store.put(object('c', 30))
  store.remove(object('b', 20))
  await turn()
  t.same(told, [
    ['a', 'b'],
    ['a', 'b', 'c'],
  ])
})

t.test('what is the same is neither parsed nor told', async (t) => {
  const { store, counted, told, listed } = fixture()
  listed(object('a', 10), object('b', 20))
  await turn()
  const before = store.values()
  store.put(object('a', 10))
  listed(object('b', 20), object('a', 10))
  await turn()
  t.equal(counted.parsed, 2)
  t.equal(told.length, 1)
  t.equal(store.values().get('a'), before.get('a'))
})

t.test('what is written differently and means the same stays the same object', async (t) => {
  const { store, told, listed } = fixture()
  listed(object('a', 10))
  await turn()
  const before = store.values().get('a')
  store.put(object('a', 11))
  await turn()
  t.equal(store.values().get('a'), before)
  t.equal(told.length, 1)
})

t.test('after a list what was not in it is gone', async (t) => {
  const { store, told, listed } = fixture()
  listed(object('a', 10), object('b', 20))
  await turn()
  listed(object('b', 20), object('c', 30))
  await turn()
  t.same(told.at(-1), ['a', 'c'])
  t.same([...store.values().keys()], ['b', 'c'])
})

t.test('a list that breaks off changes nothing', async (t) => {
  const { store, told, listed } = fixture()
  listed(object('a', 10), object('b', 20))
  await turn()
  store.begin()
  store.put(object('c', 10))
  await turn()
  t.same([...store.values().keys()], ['a', 'b'])
  listed(object('a', 10), object('b', 20))
  await turn()
  t.equal(told.length, 1)
})

t.test('what cannot be parsed keeps its last good value, and is a problem until it can', async (t) => {
  const { store, told, listed } = fixture()
  listed(object('a', 10), object('new', 'large'))
  await turn()
  t.same([...store.problems()], [['new', 'size is large']])
  store.put(object('a', 'huge'))
  await turn()
  t.same(told.at(-1), [], 'only the problems changed')
  t.same(new Map(store.values()), new Map([['a', { tens: 1 }]]))
  t.same([...store.problems()].sort(), [
    ['a', 'size is huge'],
    ['new', 'size is large'],
  ])
  store.put(object('a', 10))
  store.remove(object('new', 'large'))
  await turn()
  t.same(told.at(-1), [])
  t.same([...store.problems()], [])
})

t.test('what is put now is there at once, also while a list comes in; its end has the last word', async (t) => {
  const { store, told, listed } = fixture()
  listed(object('a', 10))
  await turn()
  store.begin()
  store.putNow(object('b', 20))
  await turn()
  t.same(told.at(-1), ['b'])
  t.same(store.get('b'), { tens: 2 })
  store.put(object('a', 10))
  store.end()
  await turn()
  t.same(told.at(-1), ['b'])
  t.equal(store.get('b'), undefined)
  t.same([...store.values().keys()], ['a'])
})

t.test('names of two namespaces are two', async (t) => {
  const { store, listed } = fixture()
  listed(object('a', 10, 'one'), object('a', 20, 'two'))
  t.same([...store.values().keys()], ['one/a', 'two/a'])
})

t.test('a removal of what is not there is nothing', async (t) => {
  const { store, told, listed } = fixture()
  listed()
  await turn()
  store.remove(object('a', 10))
  await turn()
  t.equal(told.length, 1)
})

t.test('nothing is told after close', async (t) => {
  const { store, told, listed } = fixture()
  listed(object('a', 10))
  store.close()
  await turn()
  t.same(told, [])
})
