import t from 'tap'
import { DesiredPolicy, desiredPolicy } from '../../../agent/ruleset/desired.ts'
import { renderChange, renderTable } from '../../../agent/ruleset/render.ts'
import { input } from './compile-cluster.ts'
import { HOSTILE, hostileInput } from './compile-hostile.ts'

/** Commands, rules and elements: all that there is once comments and quoted names are taken away. */
const HARMLESS = /^[\w\s{}@.:,;!=&*/+-]*$/
const QUOTED = /"([^"]*)"/g

for (const [what, text] of Object.entries(HOSTILE))
  t.test(`no text of others is a command, not one that ${what}`, async (t) => {
    const state = hostileInput(text)
    const { sets, chains, counters } = desiredPolicy(state)
    const desired = new DesiredPolicy(state)
    desired.update(input())
    for (const rendered of [renderTable(desiredPolicy(state)), renderChange(desired.update(state).change)]) {
      t.ok(chains.size > 4 && sets.size > 4 && counters.size > 4, 'the test itself: something is there')
      for (const [, quoted = ''] of rendered.matchAll(QUOTED)) t.match(quoted, /^[\w ./:=!,()[\]?#*-]{1,128}$/)
      const bare = rendered.replaceAll(QUOTED, '')
      t.match(bare, HARMLESS)
      t.notMatch(bare, /ruleset|reboot|aaaa/)
      t.equal(bare.match(/delete table/g)?.length ?? 0, rendered.startsWith('add table') ? 1 : 0)
    }
    for (const { name } of [...sets.values(), ...chains.values(), ...counters.values()])
      t.match(name, /^[a-z][a-z0-9-]{1,40}$/)
  })

t.test('a comment says where, however long the name of the policy is', async (t) => {
  const { chains } = desiredPolicy(hostileInput('a'.repeat(253)))
  const comments = [...chains.values()].flatMap(({ rules }) =>
    rules.map((rule) => /comment "(.*)"/.exec(rule)?.[1] ?? ''),
  )
  t.ok(comments.every(({ length }) => length <= 128))
  const longest = { ...hostileInput('a'.repeat(253)) }
  const policies = Array.from(longest.workloads.policies.values(), (policy) => ({
    ...policy,
    ingress: policy.ingress?.map((rule) => ({ ...rule, path: 'spec.ingress[17]' })) ?? [],
  }))
  const named = desiredPolicy({
    ...longest,
    workloads: { ...longest.workloads, policies: new Map(policies.map((one) => [one.kind, one])) },
  })
  const rules = [...named.chains.values()].flatMap(({ rules }) => rules)
  t.ok(rules.some((rule) => /comment "NetworkPolicy a+\.\.\. spec\.ingress\[17\] #[0-9a-f]{8}"$/.test(rule)))
})
