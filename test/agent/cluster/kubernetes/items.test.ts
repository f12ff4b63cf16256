import fc from 'fast-check'
import t from 'tap'
import { ItemSplitter } from '../../../../agent/cluster/kubernetes/items.ts'

/** Pushed in pieces of these sizes, again and again. */
function split(text: string, sizes: readonly number[]): { items: unknown[]; envelope: unknown } {
  const bytes = Buffer.from(text)
  const splitter = new ItemSplitter(1 << 20)
  const items: string[] = []
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1
    items.push(...splitter.push(bytes.subarray(at, at + size)))
    at += size
  }
  return { items: items.map((item) => JSON.parse(item)), envelope: JSON.parse(splitter.envelope) }
}

t.test('items and what is around them are those of JSON.parse, however the bytes are cut', async () => {
  const item = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue())
  const metadata = fc.record({ resourceVersion: fc.nat().map(String), items: fc.array(fc.nat()), more: fc.jsonValue() })
  fc.assert(
    fc.property(
      metadata.map((one) => JSON.parse(JSON.stringify(one).replace(/[^\x20-\x7e]/g, '?'))),
      fc.array(item),
      fc.constantFrom(undefined, 1, '\t'),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
      fc.boolean(),
      (metadata, items, space, sizes, isLast) => {
        const list = isLast
          ? { kind: 'NodeList', metadata, items }
          : { items, kind: 'NodeList', metadata, other: [[1]] }
        const found = split(JSON.stringify(list, null, space), sizes)
        return (
          JSON.stringify(found.items) === JSON.stringify(JSON.parse(JSON.stringify(items))) &&
          JSON.stringify(found.envelope) === JSON.stringify({ ...JSON.parse(JSON.stringify(list)), items: [] })
        )
      },
    ),
    { numRuns: 300, examples: [[{}, [{ 'a"]}\\': '[{ö🥧' }], undefined, [1], true] as never] },
  )
})

t.test('no items, and none at all', async (t) => {
  for (const list of ['{"kind":"L","items":[]}', '{"kind":"L","items":null}', '{"kind":"L"}'])
    t.same(split(list, [3]), { items: [], envelope: JSON.parse(list) })
})

t.test('what is no list is all around, for the parser to refuse', async (t) => {
  const splitter = new ItemSplitter(100)
  t.same(splitter.push(Buffer.from('<html>{[}]"')), [])
  t.equal(splitter.envelope, '<html>{[}]"')
})

t.test('an item that never ends is refused before it fills the memory', async (t) => {
  const splitter = new ItemSplitter(30)
  t.same(splitter.push(Buffer.from('{"kind":"L","items":[{"a":1},{"a":2},{"a":3}')), ['{"a":1}', '{"a":2}', '{"a":3}'])
  splitter.push(Buffer.from(',{"a":"1234567890'))
  t.throws(() => splitter.push(Buffer.from('123456789012345678901')), { message: 'an object of more than 30 bytes' })
  t.throws(() => new ItemSplitter(5).push(Buffer.from('{"kind":')), { message: 'a list of more than 5 bytes' })
})
