import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { DesiredPolicy, desiredPolicy } from '../../../agent/ruleset/desired.ts'
import { renderChange, renderTable } from '../../../agent/ruleset/render.ts'
import { isNoChange } from '../../../agent/ruleset/table.ts'
import { history, momentsOf } from '../policy/clusters-edits.ts'
import { flowOf, flowPick } from '../policy/clusters-flows.ts'
import { linkOf } from '../policy/clusters-input.ts'
import { hold } from '../policy/clusters-runs.ts'
import { isForwarded, judge } from '../policy/oracle.ts'
import { Ruleset } from './tracer-tables.ts'

t.test('however a cluster came to be what it is: the table after all changes is the table from scratch', async (t) => {
  let changes = 0
  const run = hold(history, 600, (history) => {
    const [first, ...later] = momentsOf(history)
    if (!first) return
    const desired = new DesiredPolicy(first.input)
    desired.update(first.input)
    const ruleset = rulesetOf(renderTable(desired.table))
    for (const { input, changed } of later) {
      const commands = renderChange(desired.update(input, changed).change)
      if (commands !== '') changes++
      ruleset.apply(commands)
      const scratch = desiredPolicy(input)
      assert.deepEqual(ruleset.contents, rulesetOf(renderTable(scratch)).contents, commands)
      // What is put back after somebody has tampered with it is this one.
      assert.deepEqual(rulesetOf(renderTable(desired.table)).contents, ruleset.contents)
    }
  })
  t.pass(`${run}; ${changes} changes`)
  t.ok(changes > 600, 'most edits change something')
})

t.test('whoever is told nothing of what has changed finds it out by comparing', async (t) => {
  t.pass(
    hold(history, 200, (history) => {
      const [first, ...later] = momentsOf(history)
      if (!first) return
      const desired = new DesiredPolicy(first.input)
      desired.update(first.input)
      const ruleset = rulesetOf(renderTable(desired.table))
      for (const { input } of later) {
        ruleset.apply(renderChange(desired.update(input).change))
        assert.deepEqual(ruleset.contents, rulesetOf(renderTable(desiredPolicy(input))).contents)
        assert.ok(isNoChange(desired.update(input).change))
      }
    }),
  )
})

t.test('where a flow is closed that was open, the pod is among those whose connections are looked at', async (t) => {
  const flows = fc.array(flowPick, { minLength: 1, maxLength: 20, size: 'max' })
  let closed = 0
  const run = hold(fc.record({ history, flows }), 600, ({ history, flows }) => {
    const [first, ...later] = momentsOf(history)
    if (!first) return
    const desired = new DesiredPolicy(first.input)
    desired.update(first.input)
    for (const [index, { cluster, site, input, changed }] of later.entries()) {
      const before = index === 0 ? first : later[index - 1]
      const { concerned } = desired.update(input, changed)
      for (const flow of flows.map((pick) => flowOf(cluster, site, pick)).filter((flow) => flow !== undefined)) {
        if (!before || !isForwarded(before.cluster, before.site, flow) || !isForwarded(cluster, site, flow)) continue
        if (!judge(before.cluster, before.site, flow).passes || judge(cluster, site, flow).passes) continue
        closed++
        const ends = site.wired.filter(({ addresses }) =>
          [flow.source, flow.destination].some((one) => addresses.includes(one)),
        )
        assert.ok(
          ends.some((wired) => concerned.has(linkOf(wired))),
          JSON.stringify(flow),
        )
      }
    }
  })
  t.pass(`${run}; ${closed} closed`)
  t.ok(closed > 200, 'many are closed')
})

function rulesetOf(text: string): Ruleset {
  const ruleset = new Ruleset()
  ruleset.apply(text)
  return ruleset
}
