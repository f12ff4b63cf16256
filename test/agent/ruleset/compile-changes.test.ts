import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import type { PolicyInput } from '../../../agent/policy/input.ts'
import { type ChangedState, DesiredPolicy, desiredPolicy } from '../../../agent/ruleset/desired.ts'
import { renderChange } from '../../../agent/ruleset/render.ts'
import { isNoChange } from '../../../agent/ruleset/table.ts'
import { cluster, edit, edited } from '../policy/clusters.ts'
import { inputOf } from '../policy/clusters-input.ts'
import { hold } from '../policy/clusters-runs.ts'
import { siteOf, sitePick } from '../policy/clusters-site.ts'
import {
  CLIENT,
  clusterPolicy,
  input,
  localPod,
  networkPolicy,
  pod,
  readable,
  type Situation,
} from './compile-cluster.ts'
import { applied, snapshot } from './compile-snapshot.ts'

const edits = fc.array(fc.tuple(edit, fc.option(sitePick, { freq: 5 })), { minLength: 1, maxLength: 12 })

for (const [what, tells] of [
  ['told what has changed', true],
  ['told nothing', false],
] as const)
  t.test(`by whatever way a cluster was reached, the table is that from scratch; ${what}`, async (t) => {
    let changes = 0
    const run = hold(fc.record({ cluster, sitePick, edits }), 300, ({ cluster, sitePick, edits }) => {
      let pick = sitePick
      let objects = cluster
      let state = inputOf(objects, siteOf(objects, pick))
      const desired = new DesiredPolicy(state)
      desired.update(state)
      for (const [one, other] of edits) {
        // What the agent was told at its start stays.
        if (other) pick = { ...other, node: pick.node, mode: pick.mode, failsOpen: pick.failsOpen }
        const before = snapshot(desired.table)
        const next = edited(objects, one)
        const after = inputOf(next, siteOf(next, pick), state, objects)
        const { change } = desired.update(after, tells ? differences(state, after) : undefined)
        assert.deepEqual(snapshot(desired.table), snapshot(desiredPolicy(after)))
        assert.deepEqual(applied(before, change), snapshot(desired.table))
        assert.equal(renderChange(change) === '', isNoChange(change))
        if (!isNoChange(change)) changes++
        objects = next
        state = after
      }
    })
    t.comment(`${run}; ${changes} changes`)
    t.ok(changes > 500, 'most edits change something')
  })

function differences(before: PolicyInput, after: PolicyInput): ChangedState {
  const of = (a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>) =>
    new Set([...a.keys(), ...b.keys()].filter((key) => a.get(key) !== b.get(key)))
  return {
    pods: of(before.workloads.pods, after.workloads.pods),
    namespaces: of(before.workloads.namespaces, after.workloads.namespaces),
    policies: of(before.workloads.policies, after.workloads.policies),
    nodes: of(before.nodes, after.nodes),
    localPods: of(before.localPods, after.localPods),
  }
}

const POLICY = networkPolicy('web', { ingress: [{ from: [CLIENT] }] })

/** From one situation to the next: the transaction, and whose rules it is about. */
function step(before: Situation, after: Situation): { text: string; concerned: string[] } {
  const state = input(before)
  const desired = new DesiredPolicy(state)
  desired.update(state)
  const { change, concerned } = desired.update(input(after))
  return { text: readable(renderChange(change)), concerned: [...concerned].sort() }
}

t.test('a pod that comes is an element', async (t) => {
  const policies = [POLICY]
  const pods = [pod('shop/second', { labels: { app: 'client' }, addresses: ['10.42.2.9'] })]
  const state = input({ policies, pods })
  const desired = new DesiredPolicy(state)
  desired.update(state)
  const without = { ...state, workloads: { ...state.workloads, pods: new Map(state.workloads.pods) } }
  without.workloads.pods.delete('shop/second')
  const goes = desired.update(without)
  t.equal(readable(renderChange(goes.change)), 'delete element inet bramble-policy pods4-A { 10.42.2.9 }')
  t.same([...goes.concerned], ['brm000000000001'], 'the pod that it could reach')
  const comes = desired.update(state)
  t.equal(readable(renderChange(comes.change)), 'add element inet bramble-policy pods4-A { 10.42.2.9 }')
})

t.test('an address that two pods claim stays for as long as one of them has it', async (t) => {
  const twin = (key: string) => pod(key, { labels: { app: 'client' }, addresses: ['10.42.2.9'] })
  const both = input({ policies: [POLICY], pods: [twin('shop/one'), twin('shop/two')] })
  const desired = new DesiredPolicy(both)
  desired.update(both)
  const without = (...keys: string[]) => {
    const pods = new Map([...both.workloads.pods].filter(([key]) => !keys.includes(key)))
    return renderChange(desired.update({ ...both, workloads: { ...both.workloads, pods } }).change)
  }
  t.equal(without('shop/one'), '')
  t.match(without('shop/one', 'shop/two'), /^delete element inet bramble-policy pods4-\w+ \{ 10\.42\.2\.9 \}$/)
})

t.test('a policy that comes is counters, sets, chains, and an element of the map, in this order', async (t) => {
  const { text, concerned } = step(
    { local: [localPod('shop/web')] },
    { local: [localPod('shop/web')], policies: [POLICY] },
  )
  t.equal(
    text,
    `add counter inet bramble-policy accept-in-A
add counter inet bramble-policy drop-in-A
add set inet bramble-policy pods4-B { type ipv4_addr; comment "pods: app=client in namespace shop"; elements = { 10.42.2.3 }; }
add chain inet bramble-policy drop-in-A
add chain inet bramble-policy in-C
add rule inet bramble-policy drop-in-A update @told-in4 { ip daddr limit rate 1/second burst 5 packets } log prefix "bramble drop-in-A" group 25202 snaplen 128 comment "NetworkPolicy shop/web dropped"
add rule inet bramble-policy drop-in-A update @told-in6 { ip6 daddr limit rate 1/second burst 5 packets } log prefix "bramble drop-in-A" group 25202 snaplen 128 comment "NetworkPolicy shop/web dropped"
add rule inet bramble-policy drop-in-A counter name "drop-in-A" comment "NetworkPolicy shop/web dropped"
add rule inet bramble-policy drop-in-A counter name "dropped-in" drop comment "NetworkPolicy shop/web dropped"
add rule inet bramble-policy in-C ip saddr @pods4-B counter name "accept-in-A" return comment "NetworkPolicy shop/web spec.ingress[0]"
add rule inet bramble-policy in-C goto drop-in-A comment "NetworkPolicy shop/web what no rule lets through"
add element inet bramble-policy self4 { 10.42.1.1 . 10.42.1.1 }
add element inet bramble-policy ingress4 { 10.42.1.1 : jump in-C }`,
  )
  t.same(concerned, ['brm000000000001'])
})

t.test("a range has a set of tunnels' ends for as long as a node is in it", async (t) => {
  const from = [{ ipBlock: { cidr: '192.168.2.0/24' } }]
  const policies = [networkPolicy('web', { ingress: [{ from }] })]
  const outside = input({ policies })
  const [first, second] = [...outside.nodes.values()]
  assert.ok(first && second)
  const withSecond = (node: Partial<typeof second>) => {
    return {
      ...outside,
      nodes: new Map([
        [first.name, first],
        [second.name, { ...second, ...node }],
      ]),
    }
  }
  const desired = new DesiredPolicy(outside)
  desired.update(outside)
  const inside = withSecond({ addresses: ['192.168.1.2', '192.168.2.2'] })
  const comes = desired.update(inside)
  t.match(renderChange(comes.change), /add set inet bramble-policy tunnels4-.* elements = \{ 10\.42\.2\.0 \}/)
  t.same([...comes.concerned], ['brm000000000001'], 'the pod whose rule it is, and no other')
  const relabelled = withSecond({ addresses: ['192.168.1.2', '192.168.2.2'], labels: { disk: 'none' } })
  t.equal(renderChange(desired.update(relabelled).change), '', 'labels are of no matter to a range')
  t.match(renderChange(desired.update(outside).change), /delete set inet bramble-policy tunnels4-/)
  t.same(snapshot(desired.table), snapshot(desiredPolicy(outside)))
})

t.test('a policy that goes leaves nothing behind', async (t) => {
  const { text } = step({ local: [localPod('shop/web')], policies: [POLICY] }, { local: [localPod('shop/web')] })
  t.equal(
    text,
    `delete element inet bramble-policy self4 { 10.42.1.1 . 10.42.1.1 }
delete element inet bramble-policy ingress4 { 10.42.1.1 }
flush chain inet bramble-policy drop-in-A
flush chain inet bramble-policy in-B
delete chain inet bramble-policy drop-in-A
delete chain inet bramble-policy in-B
delete set inet bramble-policy pods4-C
delete counter inet bramble-policy accept-in-A
delete counter inet bramble-policy drop-in-A`,
  )
})

t.test('another rule is another chain; what both refer to stays as it is', async (t) => {
  const { text } = step(
    { local: [localPod('shop/web')], policies: [POLICY] },
    {
      local: [localPod('shop/web')],
      policies: [networkPolicy('web', { ingress: [{ from: [CLIENT], ports: [{ port: 80 }] }] })],
    },
  )
  t.equal(
    text,
    `add chain inet bramble-policy in-A
add rule inet bramble-policy in-A tcp dport 80 ip saddr @pods4-B counter name "accept-in-C" return comment "NetworkPolicy shop/web spec.ingress[0]"
add rule inet bramble-policy in-A goto drop-in-C comment "NetworkPolicy shop/web what no rule lets through"
delete element inet bramble-policy ingress4 { 10.42.1.1 }
add element inet bramble-policy ingress4 { 10.42.1.1 : jump in-A }
flush chain inet bramble-policy in-D
delete chain inet bramble-policy in-D`,
  )
})

t.test('what changes nothing of the rules is no change', async (t) => {
  const db = { podSelector: { matchLabels: { app: 'nobody' } } }
  const { text } = step(
    { policies: [POLICY] },
    {
      policies: [
        POLICY,
        networkPolicy('of-nobody', { ...db, ingress: [] }),
        clusterPolicy('of-nobody', { subject: { namespaces: { matchLabels: { no: 'where' } } }, ingress: [] }),
      ],
      pods: [pod('lab/other', { addresses: ['10.42.2.9'] })],
    },
  )
  t.equal(text, '')
})
