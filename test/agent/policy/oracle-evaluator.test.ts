import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { Evaluator } from '../../../agent/policy/evaluate.ts'
import { cluster } from './clusters.ts'
import { flowOf, flowPick } from './clusters-flows.ts'
import { inputOf } from './clusters-input.ts'
import { hold } from './clusters-runs.ts'
import { siteOf, sitePick } from './clusters-site.ts'
import { judge } from './oracle.ts'

const flows = fc.array(flowPick, { minLength: 1, maxLength: 30, size: 'max' })

t.test('of any cluster, policies and flow, the evaluator says what the oracle says about this node', async (t) => {
  const all = fc.record({ cluster, site: sitePick, flows })
  const seen = { open: 0, closed: 0 }
  const run = hold(all, 2_000, ({ cluster, site: pick, flows }) => {
    const site = siteOf(cluster, pick)
    const evaluator = new Evaluator(inputOf(cluster, site))
    for (const flow of flows.map((one) => flowOf(cluster, site, one)).filter((flow) => flow !== undefined)) {
      const expected = judge(cluster, site, flow)
      const { egress, ingress } = evaluator.evaluate(flow)
      const isOurs = (address: string) => site.wired.some(({ addresses }) => addresses.includes(address))
      // What another node decides, this one does not know better.
      const isAllowed = (egress.isAllowed || !isOurs(flow.source)) && (ingress.isAllowed || !isOurs(flow.destination))
      seen[expected.passes ? 'open' : 'closed']++
      assert.equal(isAllowed, expected.passes, `${expected.why}: ${JSON.stringify(flow)}`)
    }
  })
  t.pass(`${run}; ${JSON.stringify(seen)}`)
  t.ok(seen.open > 1_000 && seen.closed > 1_000, 'both verdicts are common')
})
