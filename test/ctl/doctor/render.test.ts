import t from 'tap'
import type { Diagnosis } from '../../../agent/doctor/check.ts'
import { sysctlRemedy } from '../../../agent/doctor/finding.ts'
import { isHealthy, renderDiagnosis, safeRemedies } from '../../../ctl/doctor/render.ts'

const forwarding = {
  check: 'forwarding',
  severity: 'error',
  what: 'net/ipv4/ip_forward is 0',
  why: 'pods are cut off',
  remedies: [sysctlRemedy('ipv4/ip_forward', '1')],
} as const
const wifi = {
  check: 'wifi-uplink',
  severity: 'note',
  what: 'joined by Wi-Fi',
  why: 'it loses packets',
  advice: 'Ethernet',
  remedies: [{ command: 'iw dev wlan0 set power_save off' }, { command: 'iw dev wlan0 info' }],
} as const
const none: Diagnosis = { findings: [], good: ['clock'], unknown: [] }

t.test('the worst comes first; what could not be looked at and what is good follow', async (t) => {
  const diagnosis: Diagnosis = {
    findings: [wifi, forwarding],
    good: ['clock', 'dns-loop'],
    unknown: [
      { check: 'path-mtu', reason: 'the agent is away' },
      { check: 'peer-silent', reason: 'the agent is away' },
      { check: 'forward-drop', reason: 'no nftables' },
    ],
  }
  t.equal(
    renderDiagnosis(diagnosis),
    `error    net/ipv4/ip_forward is 0
         (forwarding) pods are cut off
fix      sysctl -w net/ipv4/ip_forward=1   # --fix does it

note     joined by Wi-Fi
         (wifi-uplink) it loses packets
fix      iw dev wlan0 set power_save off
         iw dev wlan0 info
         Ethernet

unknown  path-mtu peer-silent
         since: the agent is away
unknown  forward-drop
         since: no nftables

good     clock dns-loop

1 error, 1 note`,
  )
})

t.test('many names go on several lines', async (t) => {
  const lines = renderDiagnosis({ ...none, good: Array.from({ length: 30 }, (_, n) => `some-check-${n}`) }).split('\n')
  t.ok(lines.every((line) => line.length <= 100))
  t.match(lines[1], /^ {9}some-check-/)
})

t.test('a healthy node', async (t) => {
  t.equal(renderDiagnosis(none), 'good     clock\n\nnothing is wrong with this node')
  t.ok(isHealthy(none))
  t.ok(isHealthy({ ...none, findings: [wifi] }), 'notes do not count')
  t.notOk(isHealthy({ ...none, findings: [forwarding] }))
})

t.test('what --fix does is done once', async (t) => {
  t.same(safeRemedies({ ...none, findings: [forwarding, wifi, forwarding] }), [sysctlRemedy('ipv4/ip_forward', '1')])
})
