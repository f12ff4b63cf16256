import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { desiredPolicy } from '../../../agent/ruleset/desired.ts'
import { renderTable } from '../../../agent/ruleset/render.ts'
import { cluster } from '../policy/clusters.ts'
import { flowOf, flowPick } from '../policy/clusters-flows.ts'
import { inputOf, packetOf } from '../policy/clusters-input.ts'
import { hold } from '../policy/clusters-runs.ts'
import { siteOf, sitePick } from '../policy/clusters-site.ts'
import { isForwarded, judge } from '../policy/oracle.ts'
import { trace } from './tracer.ts'
import { Ruleset } from './tracer-tables.ts'

const flows = fc.array(flowPick, { minLength: 1, maxLength: 30, size: 'max' })

t.test('of any cluster, policies and flow, the table does with a packet what the oracle says', async (t) => {
  const all = fc.record({ cluster, site: sitePick, flows })
  const seen = { open: 0, closed: 0 }
  const run = hold(all, 2_000, ({ cluster, site: pick, flows }) => {
    const site = siteOf(cluster, pick)
    const text = renderTable(desiredPolicy(inputOf(cluster, site)))
    const ruleset = new Ruleset()
    ruleset.apply(text)
    for (const flow of flows.map((one) => flowOf(cluster, site, one)).filter((flow) => flow !== undefined)) {
      if (!isForwarded(cluster, site, flow)) continue
      const expected = judge(cluster, site, flow)
      const traced = trace(ruleset, packetOf(flow, site))
      seen[expected.passes ? 'open' : 'closed']++
      assert.equal(traced.passes, expected.passes, `${expected.why}: ${JSON.stringify(flow)} ${traced.path}\n${text}`)
    }
  })
  t.pass(`${run}; ${JSON.stringify(seen)}`)
  t.ok(seen.open > 1_000 && seen.closed > 1_000, 'both verdicts are common')
})
