import fc from 'fast-check'
import t from 'tap'
import { LineSplitter } from '../../../../agent/cluster/kubernetes/lines.ts'

t.test('lines are the same however the bytes are cut, in the middle of characters too', async () => {
  const line = fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\n', '').replaceAll('\r', ''))
  const cuts = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 })
  fc.assert(
    fc.property(fc.array(line), cuts, (lines, sizes) => {
      const bytes = Buffer.from(lines.map((one) => `${one}\n`).join(''))
      const splitter = new LineSplitter(1 << 20)
      const found: string[] = []
      for (let at = 0, turn = 0; at < bytes.length; turn++) {
        const size = sizes[turn % sizes.length] ?? 1
        found.push(...splitter.push(bytes.subarray(at, at + size)))
        at += size
      }
      return JSON.stringify(found) === JSON.stringify(lines.filter((one) => one.trim() !== ''))
    }),
    { examples: [[['ö', '日本', '🥧'], [1]]] },
  )
})

t.test('what comes after the last newline is no line yet', async (t) => {
  const splitter = new LineSplitter(100)
  t.same(splitter.push(Buffer.from('one\ntw')), ['one'])
  t.equal(splitter.pendingBytes, 2)
  t.same(splitter.push(Buffer.from('o\n')), ['two'])
  t.equal(splitter.pendingBytes, 0)
})

t.test('a line that never ends is refused before it fills the memory', async (t) => {
  const splitter = new LineSplitter(10)
  splitter.push(Buffer.from('12345'))
  splitter.push(Buffer.from('67890'))
  t.throws(() => splitter.push(Buffer.from('1')), { message: 'a line of more than 10 bytes' })
})
