import fc from 'fast-check'
import t from 'tap'
import { renderExposition } from '../../../agent/observe/exposition.ts'
import { DURATION_BOUNDS, Histogram } from '../../../agent/observe/histogram.ts'
import { readExposition } from './exposition-text.ts'

const NAME = 'bramble_reconcile_duration_seconds'
const seconds = fc.oneof(fc.double({ min: 0, max: 100, noNaN: true }), fc.constantFrom(...DURATION_BOUNDS))

t.test('each bucket counts all that is no larger than its bound', async (t) => {
  fc.assert(
    fc.property(fc.array(seconds), (values) => {
      const histogram = new Histogram(NAME, [])
      for (const value of values) histogram.observe({ loop: 'nodes' }, value)
      const samples = readExposition(`${renderExposition([histogram.family()])}bramble_pods 0\n`)
      for (const { name, labels, value } of samples) {
        if (name === `${NAME}_bucket`) {
          const bound = labels.le === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels.le)
          t.equal(value, values.filter((one) => one <= bound).length)
        }
        if (name === `${NAME}_count`) t.equal(value, values.length)
        if (name === `${NAME}_sum`) t.ok(Math.abs(value - values.reduce((sum, one) => sum + one, 0)) < 1e-6)
      }
      t.equal(samples.length, values.length === 0 ? 1 : DURATION_BOUNDS.length + 4)
    }),
    { numRuns: 50 },
  )
})

t.test('series with different labels do not mix', async (t) => {
  const histogram = new Histogram('bramble_cni_call_duration_seconds', [{ command: 'DEL', outcome: 'success' }])
  histogram.observe({ command: 'ADD', outcome: 'success' }, 0.002)
  histogram.observe({ command: 'ADD', outcome: 'error' }, 3)
  histogram.observe({ command: 'ADD', outcome: 'error' }, 3)
  const counts = readExposition(renderExposition([histogram.family()])).filter(({ name }) => name.endsWith('_count'))
  t.same(
    counts.map(({ labels, value }) => [labels.command, labels.outcome, value]),
    [
      ['DEL', 'success', 0],
      ['ADD', 'success', 1],
      ['ADD', 'error', 2],
    ],
  )
})
