import t from 'tap'
import { Shared } from '../../../agent/cluster/shared.ts'

t.test('values that are written the same are one object', async (t) => {
  const shared = new Shared<Readonly<Record<string, string>>>()
  const first = { app: 'web', tier: 'front' }
  t.equal(shared.of(first), first)
  t.equal(shared.of({ app: 'web', tier: 'front' }), first)
  t.not(shared.of({ app: 'web', tier: 'back' }), first)
  t.same(shared.of({}), {})
})

t.test('of values without end not all are remembered, and each is still right', async (t) => {
  const shared = new Shared<{ readonly n: number }>()
  const first = shared.of({ n: 0 })
  for (let n = 0; n < 10_000; n++) if (shared.of({ n }).n !== n) t.fail(`${n}`)
  t.not(shared.of({ n: 0 }), first, 'it has been forgotten')
})
