import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { policyId } from '../../../agent/cluster/policy.ts'
import { type Decision, Evaluator } from '../../../agent/policy/evaluate.ts'
import { cluster } from './clusters.ts'
import { flowOf, flowPick } from './clusters-flows.ts'
import { inputOf } from './clusters-input.ts'
import { hold } from './clusters-runs.ts'
import { siteOf, sitePick } from './clusters-site.ts'
import { judge } from './oracle.ts'

const flows = fc.array(flowPick, { minLength: 1, maxLength: 30, size: 'max' })

t.test(
  'of any cluster, policies and flow, the evaluator says what the oracle says about this node, and whose word it is',
  async (t) => {
    const all = fc.record({ cluster, site: sitePick, flows })
    const seen = { open: 0, closed: 0 }
    const run = hold(all, 2_000, ({ cluster, site: pick, flows }) => {
      const site = siteOf(cluster, pick)
      const evaluator = new Evaluator(inputOf(cluster, site))
      for (const flow of flows.map((one) => flowOf(cluster, site, one)).filter((flow) => flow !== undefined)) {
        const expected = judge(cluster, site, flow)
        const { egress, ingress } = evaluator.evaluate(flow)
        const isOurs = (address: string) => site.wired.some(({ addresses }) => addresses.includes(address))
        seen[expected.passes ? 'open' : 'closed']++
        assert.equal(evaluator.isAllowedHere(flow), expected.passes, `${expected.why}: ${JSON.stringify(flow)}`)
        if (site.mode === 'never') continue
        for (const [direction, end, decision] of [
          ['egress', flow.source, egress],
          ['ingress', flow.destination, ingress],
        ] as const) {
          // Of two directions that drop it, the oracle tells the first one alone.
          if (!isOurs(end) || !expected.why.includes(direction)) continue
          const words = decidedBy(decision).map((one) => `${direction}: ${one}`)
          assert.ok(words.length === 0 || words.some((one) => expected.why.includes(one)), `${words}: ${expected.why}`)
        }
      }
    })
    t.pass(`${run}; ${JSON.stringify(seen)}`)
    t.ok(seen.open > 1_000 && seen.closed > 1_000, 'both verdicts are common')
  },
)

/** In the oracle's words; of NetworkPolicies that let something through any will do. */
function decidedBy({ because }: Decision): string[] {
  if (because.kind === 'isolated') return because.policies.map(policyId)
  if (because.kind !== 'rule' || because.policy.kind === 'NetworkPolicy') return []
  return [`${policyId(because.policy)} rule ${because.rule.path.replace(/^.*\[(\d+)\]$/, '$1')}`]
}
