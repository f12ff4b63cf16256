import t from 'tap'
import { diagnose } from '../../../agent/doctor/check.ts'
import { CHECKS } from '../../../agent/doctor/checks.ts'
import { CASES } from './cases.ts'
import { gathered, HEALTHY } from './healthy.ts'

t.test('of a node on which all is well nothing is found', async (t) => {
  const { findings, good, unknown } = diagnose(gathered(HEALTHY), CHECKS)
  t.same(findings, [])
  t.same(unknown, [])
  t.same(
    good,
    CHECKS.map(({ name }) => name),
  )
})

t.test('every check has a name of its own, a symptom, and a case in which it finds something', async (t) => {
  const names = CHECKS.map(({ name }) => name)
  t.equal(new Set(names).size, names.length)
  for (const { name, symptom, needs } of CHECKS) {
    t.match(name, /^[a-z]+(-[a-z]+)*$/)
    t.ok(symptom.length > 10 && needs.length > 0, name)
    t.ok(
      CASES.some(({ check, says }) => check === name && says.length > 0),
      `a case for ${name}`,
    )
  }
})

for (const { title, check, facts, says, commands, unknown: doubt } of CASES)
  t.test(`${check}: ${title}`, async (t) => {
    const { findings, unknown } = diagnose(gathered({ ...HEALTHY, ...facts }), CHECKS)
    const found = findings.filter((finding) => finding.check === check)
    t.equal(found.length, says.length, JSON.stringify(found))
    if (doubt) t.match(unknown.find((one) => one.check === check)?.reason, doubt)
    else t.same(unknown, [])
    for (const [index, [severity, what]] of says.entries()) {
      t.equal(found[index]?.severity, severity)
      t.match(found[index]?.what, what)
      t.ok(found[index]?.why, 'it says why that matters')
    }
    if (commands)
      t.same(
        found.flatMap(({ remedies }) => remedies.map(({ command }) => command)),
        commands,
      )
    for (const { remedies, advice } of check === 'agent-problems' || check === 'pending-dels' ? [] : found)
      t.ok(remedies.length > 0 || advice, 'it says what to do')
  })

t.test('what could not be found out is named, and everything else is looked at', async (t) => {
  const facts = { ...gathered(HEALTHY), firewall: { unknown: 'cannot load libnftables.so.1' } }
  const { findings, good, unknown } = diagnose(facts, CHECKS)
  t.same(findings, [])
  t.same(
    unknown,
    CHECKS.filter(({ needs }) => needs.includes('firewall')).map(({ name }) => ({
      check: name,
      reason: 'cannot load libnftables.so.1',
    })),
  )
  t.equal(good.length + unknown.length, CHECKS.length)
})

t.test('no command that --fix carries out takes something away', async (t) => {
  for (const { facts } of CASES)
    for (const { remedies } of diagnose(gathered({ ...HEALTHY, ...facts }), CHECKS).findings)
      for (const { command, act } of remedies) if (act) t.match(command, /^(sysctl -w|ethtool -K bramble\.vxlan) /)
})

t.test('the names of links and files in commands are words to a shell', async (t) => {
  const hostile = 'flannel.$(id)'
  const link = { ...HEALTHY.network.links[0], name: hostile, isUplink: false }
  const network = { ...HEALTHY.network, links: [link as (typeof HEALTHY.network.links)[number]] }
  const { findings } = diagnose(gathered({ ...HEALTHY, network }), CHECKS)
  t.match(findings[0]?.remedies, [{ command: "ip link delete 'flannel.$(id)'" }])
})
