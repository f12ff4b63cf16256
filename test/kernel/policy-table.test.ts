import fc from 'fast-check'
import t from 'tap'
import { Nftables } from '../../agent/kernel/nftables.ts'
import { DesiredPolicy, desiredPolicy } from '../../agent/ruleset/desired.ts'
import { listedElement, outline } from '../../agent/ruleset/outline.ts'
import { renderChange, renderTable, withoutPolicy } from '../../agent/ruleset/render.ts'
import { type CounterValue, POLICY_TABLE, type PolicyTable } from '../../agent/ruleset/table.ts'
import { cluster, edit, edited } from '../agent/policy/clusters.ts'
import { inputOf } from '../agent/policy/clusters-input.ts'
import { siteOf, sitePick } from '../agent/policy/clusters-site.ts'
import {
  CLIENT,
  clusterPolicy,
  input,
  LAB,
  localPod,
  networkPolicy,
  ON_AUDIT,
  type Situation,
} from '../agent/ruleset/compile-cluster.ts'
import { HOSTILE, hostileInput } from '../agent/ruleset/compile-hostile.ts'
import { enterScratchNode, run } from './scratch.ts'

await enterScratchNode()
const nft = Nftables.load()
t.after(() => nft.close())
t.beforeEach(() => run('nft', 'flush', 'ruleset'))

/** The elements of all sets and maps that the kernel has, in order, as we write them. */
async function listed(table: PolicyTable): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {}
  for (const [kind, names] of [
    ['set', table.sets.keys()],
    ['map', table.maps.keys()],
  ] as const)
    for (const name of names) {
      const [object] = await nft.list(`list ${kind} ${POLICY_TABLE} ${name}` as `list set ${string}`)
      const elements = (object?.[kind] as { elem?: unknown[] } | undefined)?.elem ?? []
      found[name] = elements.map((element) => listedElement(element)?.join(' ').trim() ?? 'no element of ours').sort()
    }
  return found
}

function expected({ sets, maps }: PolicyTable): Record<string, string[]> {
  return Object.fromEntries([
    ...Array.from(sets.values(), ({ name, elements }) => [name, [...elements].sort()]),
    ...Array.from(maps.values(), ({ name, elements }) => [name, [...elements].map((one) => one.join(' ')).sort()]),
  ])
}

/** The kernel has this table: rule by rule, and element by element. */
async function isInKernel(t: Tap, table: PolicyTable, what = 'the table'): Promise<void> {
  t.equal(outline(await nft.show(`list table ${POLICY_TABLE}`)), outline(renderTable(table)), `${what}: rules`)
  t.same(await listed(table), expected(table), `${what}: elements`)
}

type Tap = Pick<typeof t, 'equal' | 'same'>

const SITUATIONS: Record<string, Situation> = {
  'no policy': {},
  'no pod': { local: [] },
  'all kinds of peers and ports, in both directions': {
    hasIpv6: true,
    policies: [
      networkPolicy('web', {
        policyTypes: ['Ingress', 'Egress'],
        ingress: [
          {
            from: [
              CLIENT,
              LAB,
              { ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8'] } },
              { ipBlock: { cidr: '::/0' } },
            ],
          },
          { ports: [{ port: 80 }, { port: 'http' }, { port: 8000, endPort: 9000 }, { protocol: 'SCTP' }] },
        ],
        egress: [
          {
            to: [LAB, { ipBlock: { cidr: '192.168.0.0/16' } }],
            ports: [{ port: 'http' }, { protocol: 'UDP', port: 53 }],
          },
          {},
        ],
      }),
    ],
  },
  'all tiers and actions': {
    policies: [
      clusterPolicy('guard', {
        ingress: [
          { action: 'Accept', from: [{ namespaces: LAB.namespaceSelector }] },
          { action: 'Pass', from: [{ pods: { namespaceSelector: {}, ...CLIENT } }] },
          { action: 'Deny', from: [{ namespaces: {} }] },
        ],
        egress: [{ action: 'Deny', to: [{ nodes: {} }, { networks: ['203.0.113.0/24'] }] }],
      }),
      networkPolicy('web', { ingress: [] }),
      clusterPolicy('floor', { tier: 'Baseline', ingress: [{ action: 'Deny', from: [{ namespaces: {} }] }] }),
    ],
  },
  audit: { policies: [networkPolicy('web', { ingress: [] }, ON_AUDIT)] },
  never: { mode: 'never', policies: [networkPolicy('web', { ingress: [] })] },
  always: { mode: 'always', policies: [networkPolicy('web', { ingress: [] })] },
  'a pod of which nothing is known': { local: [localPod('shop/web', { isUnknown: true })] },
  'two thousand CIDRs': {
    policies: [
      networkPolicy('web', {
        ingress: [
          { from: Array.from({ length: 2_000 }, (_, i) => ({ ipBlock: { cidr: `10.${i >> 8}.${i & 255}.0/25` } })) },
        ],
      }),
    ],
  },
}

for (const [what, situation] of Object.entries(SITUATIONS))
  t.test(`the kernel takes the table, and lists it as it was made: ${what}`, async (t) => {
    const table = desiredPolicy(input(situation))
    await nft.run(renderTable(table))
    await isInKernel(t, table)
    await nft.run(renderTable(table))
    await isInKernel(t, table, 'made anew over itself')
  })

t.test('from any of these to any other by a change is as if it was made from scratch', async (t) => {
  const states = Object.values(SITUATIONS).filter(({ mode = 'default' }) => mode === 'default')
  const [first, ...others] = [...states, ...states.toReversed()].map((situation) => input(situation))
  if (!first) throw new Error('no situations')
  const desired = new DesiredPolicy(first)
  desired.update(first)
  await nft.run(renderTable(desired.table))
  for (const state of others) {
    await nft.run(renderChange(desired.update(state).change))
    await isInKernel(t, desiredPolicy(state))
  }
})

t.test('so it is after any edits of any cluster', async (t) => {
  const edits = fc.array(edit, { minLength: 15, maxLength: 15 })
  for (const [start, pick, some] of fc.sample(fc.tuple(cluster, sitePick, edits), { numRuns: 6, seed: 4 })) {
    let objects = start
    let state = inputOf(objects, siteOf(objects, pick))
    const desired = new DesiredPolicy(state)
    desired.update(state)
    await nft.run(renderTable(desired.table))
    for (const one of some) {
      const before = objects
      objects = edited(objects, one)
      state = inputOf(objects, siteOf(objects, pick), state, before)
      const text = renderChange(desired.update(state).change)
      if (text !== '') await nft.run(text)
    }
    await isInKernel(t, desiredPolicy(state))
  }
})

t.test('a change that was made for another table is refused, and changes nothing', async (t) => {
  const before = input({ policies: [networkPolicy('web', { ingress: [{ from: [CLIENT] }] })] })
  const desired = new DesiredPolicy(before)
  desired.update(before)
  await nft.run(renderTable(desired.table))
  const harm = `delete element ${POLICY_TABLE} ingress4 { 10.42.1.1 }`
  await nft.run(harm)
  const there = await run('nft', 'list', 'ruleset')
  await t.rejects(nft.run(renderChange(desired.update(input()).change)), { code: 'NFTABLES', errno: 'ENOENT' })
  t.equal(await run('nft', 'list', 'ruleset'), there)
})

t.test('counters go on from where they are, whether the table is changed or made anew', async (t) => {
  const one = input({ policies: [networkPolicy('web', { ingress: [{ from: [CLIENT] }] })] })
  const other = input({ policies: [networkPolicy('web', { ingress: [{ from: [LAB] }] })] })
  const desired = new DesiredPolicy(one)
  desired.update(one)
  const names = [...desired.table.counters.keys()]
  const values = new Map(names.map((name, index) => [name, { packets: index + 1, bytes: 100 * (index + 1) }]))
  await nft.run(renderTable(desired.table, values))
  t.same(await counters(), values)
  await nft.run(renderChange(desired.update(other).change))
  t.same(await counters(), values, 'after a change')
  await nft.run(renderTable(desired.table, await counters()))
  t.same(await counters(), values, 'made anew')
})

async function counters(): Promise<Map<string, CounterValue>> {
  const { nftables } = JSON.parse(await run('nft', '-j', 'list', 'counters', 'table', ...POLICY_TABLE.split(' ')))
  return new Map(
    nftables.flatMap(({ counter }: { counter?: { name: string } & CounterValue }) =>
      counter ? [[counter.name, { packets: counter.packets, bytes: counter.bytes }]] : [],
    ),
  )
}

t.test('texts that want to be commands are none to the kernel either', async (t) => {
  await run('nft', 'add', 'table', 'inet', 'of-somebody')
  for (const [what, text] of Object.entries(HOSTILE)) {
    const table = desiredPolicy(hostileInput(text))
    await nft.run(renderTable(table))
    await isInKernel(t, table, `one that ${what}`)
  }
  t.equal(await run('nft', 'list', 'tables'), `table inet of-somebody\ntable ${POLICY_TABLE}\n`)
})

t.test('without the table nothing is left', async (t) => {
  await nft.run(renderTable(desiredPolicy(input())))
  await nft.run(withoutPolicy().join('\n'))
  await nft.run(withoutPolicy().join('\n'))
  t.equal(await run('nft', 'list', 'ruleset'), '')
})
