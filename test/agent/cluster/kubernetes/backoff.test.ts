import t from 'tap'
import { Backoff } from '../../../../agent/cluster/kubernetes/backoff.ts'

t.test('waits are anywhere below a limit that doubles up to the most', async (t) => {
  const rows = Array.from({ length: 300 }, () => {
    const backoff = new Backoff({ firstMs: 200, mostMs: 30_000 })
    return Array.from({ length: 12 }, () => backoff.nextMs())
  })
  for (let turn = 0; turn < 12; turn++) {
    const limitMs = Math.min(200 * 2 ** turn, 30_000)
    const waits = rows.map((row) => row[turn] ?? Number.NaN)
    t.ok(Math.max(...waits) <= limitMs, `wait ${turn} is at most ${limitMs} ms`)
    // By chance this fails once in 10^12 runs.
    t.ok(Math.max(...waits) > limitMs * 0.9 && Math.min(...waits) < limitMs * 0.1, 'and anywhere below it')
  }
})

t.test('after a long time without a try it begins anew', async (t) => {
  const backoffs = Array.from({ length: 50 }, () => new Backoff({ firstMs: 1, mostMs: 10 }))
  for (let turn = 0; turn < 20; turn++) for (const backoff of backoffs) backoff.nextMs()
  await new Promise((resolve) => setTimeout(resolve, 60))
  t.ok(Math.max(...backoffs.map((backoff) => backoff.nextMs())) <= 1)
})
