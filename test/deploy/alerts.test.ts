import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { capture } from '../kernel/scratch.ts'

/** promtool plays hours of scrapes to the rules in no time. */

const ALERTS = fileURLToPath(new URL('../../deploy/monitoring/alerts.yaml', import.meta.url))

/** By series: values at one a minute, for an hour, in promtool's notation. */
type Story = Readonly<Record<string, string>>

const NODE = 'job="bramble",instance="pi-1"'
const buckets = (name: string, labels: string, fast: string, slow: string): Story => ({
  [`${name}_bucket{${labels}le="0.5"}`]: fast,
  [`${name}_bucket{${labels}le="1"}`]: fast,
  [`${name}_bucket{${labels}le="50"}`]: slow,
  [`${name}_bucket{${labels}le="+Inf"}`]: slow,
})
const ADDS = `${NODE},command="ADD",outcome="success",`

/** What each alert is for, and what is near it and no reason. */
const CASES: Readonly<Record<string, { readonly bad: Story; readonly good: Story }>> = {
  BrambleAgentAway: {
    bad: { [`up{${NODE}}`]: '0x60' },
    good: { [`up{${NODE}}`]: '1 1 0 0 1x56', 'up{job="other",instance="x"}': '0x60' },
  },
  BrambleNotReady: { bad: { [`bramble_ready{${NODE}}`]: '0x60' }, good: { [`bramble_ready{${NODE}}`]: '0 0 0 1x57' } },
  BrambleProblems: {
    bad: { [`bramble_problems{${NODE}}`]: '2x60' },
    good: { [`bramble_problems{${NODE}}`]: '0 1 1 1 0x56' },
  },
  BramblePeerNotReached: {
    bad: { [`bramble_peer_way{${NODE},peer="pi-2",way="none"}`]: '1x60' },
    good: { [`bramble_peer_way{${NODE},peer="pi-2",way="vxlan"}`]: '1x60' },
  },
  BrambleAddressesNearlyGone: {
    bad: {
      [`bramble_pool_used_addresses{${NODE},cidr="10.42.0.0/24"}`]: '240x60',
      [`bramble_pool_capacity_addresses{${NODE},cidr="10.42.0.0/24"}`]: '255x60',
    },
    good: {
      [`bramble_pool_used_addresses{${NODE},cidr="10.42.0.0/24"}`]: '110x60',
      [`bramble_pool_capacity_addresses{${NODE},cidr="10.42.0.0/24"}`]: '255x60',
    },
  },
  BrambleAddsFail: {
    bad: { [`bramble_cni_call_duration_seconds_count{${NODE},command="ADD",outcome="error"}`]: '0+1x60' },
    good: {
      [`bramble_cni_call_duration_seconds_count{${NODE},command="ADD",outcome="error"}`]: '0x30 1x30',
      [`bramble_cni_call_duration_seconds_count{${NODE},command="STATUS",outcome="error"}`]: '0+60x60',
    },
  },
  BrambleAddsSlow: {
    bad: buckets('bramble_cni_call_duration_seconds', ADDS, '0+5x60', '0+10x60'),
    good: buckets('bramble_cni_call_duration_seconds', ADDS, '0+10x60', '0+10x60'),
  },
  BrambleCannotBringAbout: {
    bad: { [`bramble_reconcile_errors_total{${NODE},loop="nodes"}`]: '0+1x60' },
    good: { [`bramble_reconcile_errors_total{${NODE},loop="nodes"}`]: '0x30 1x30' },
  },
  BrambleDrift: {
    bad: { [`bramble_drift_repairs_total{${NODE},loop="policies"}`]: '0+1x60' },
    good: { [`bramble_drift_repairs_total{${NODE},loop="policies"}`]: '0x30 2x30' },
  },
  BrambleViewOld: {
    bad: { [`bramble_view_age_seconds{${NODE}}`]: '0+60x60' },
    good: { [`bramble_view_age_seconds{${NODE}}`]: '0 60 120 0x57' },
  },
  BrambleForgedPackets: {
    bad: { [`bramble_dropped_packets_total{${NODE},effect="spoofed"}`]: '0+600x60' },
    good: {
      [`bramble_dropped_packets_total{${NODE},effect="spoofed"}`]: '0+6x60',
      [`bramble_dropped_packets_total{${NODE},effect="dropped"}`]: '0+6000x60',
    },
  },
  BrambleAgentBlocked: {
    bad: buckets('bramble_event_loop_delay_seconds', `${NODE},`, '0+50x60', '0+60x60'),
    good: buckets('bramble_event_loop_delay_seconds', `${NODE},`, '0+60x60', '0+60x60'),
  },
  BrambleMemory: {
    bad: { [`process_resident_memory_bytes{${NODE}}`]: '300000000x120' },
    good: {
      [`process_resident_memory_bytes{${NODE}}`]: '90000000x120',
      'process_resident_memory_bytes{job="prometheus",instance="x"}': '900000000x120',
    },
  },
}

/** Ends with 0 when at the end this alert fires and no other, or none does. */
async function test(t: Test, alert: string, story: Story, isFiring: boolean) {
  const expression = `count by (alertname) (ALERTS{alertstate="firing"})`
  const file = {
    rule_files: [ALERTS],
    tests: [
      {
        interval: '1m',
        input_series: Object.entries(story).map(([series, values]) => ({ series, values })),
        promql_expr_test: [
          {
            expr: expression,
            eval_time: alert === 'BrambleMemory' ? '119m' : '59m',
            exp_samples: isFiring ? [{ labels: `{alertname="${alert}"}`, value: 1 }] : [],
          },
        ],
      },
    ],
  }
  const dir = t.testdir({ 'test.yaml': JSON.stringify(file) })
  return capture('promtool', ['test', 'rules', join(dir, 'test.yaml')])
}

t.test('Prometheus takes the rules', async (t) => {
  t.equal((await capture('promtool', ['check', 'rules', ALERTS])).exitCode, 0)
})

t.test('each alert has a case, a summary and what to do', async (t) => {
  const { groups } = parse(readFileSync(ALERTS, 'utf8')) as {
    groups: { rules: { alert: string; annotations: Record<string, string>; labels: Record<string, string> }[] }[]
  }
  const rules = groups.flatMap((group) => group.rules)
  t.same(
    rules.map(({ alert }) => alert),
    Object.keys(CASES),
  )
  for (const { annotations, labels } of rules) {
    t.match(annotations, { summary: /\.$/, description: /\.$/ })
    t.match(labels.severity, /^(warning|critical)$/)
  }
})

for (const [alert, { bad, good }] of Object.entries(CASES)) {
  t.test(`${alert} fires on what it is for, and on nothing near it`, async (t) => {
    const fired = await test(t, alert, bad, true)
    t.equal(fired.exitCode, 0, fired.stdout + fired.stderr)
    const quiet = await test(t, alert, good, false)
    t.equal(quiet.exitCode, 0, quiet.stdout + quiet.stderr)
  })
}
