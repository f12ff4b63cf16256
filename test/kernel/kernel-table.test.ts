import t from 'tap'
import { KernelTable } from '../../agent/enforcement/kernel-table.ts'
import { Nftables } from '../../agent/kernel/nftables.ts'
import { DesiredPolicy } from '../../agent/ruleset/desired.ts'
import { marked } from '../../agent/ruleset/names.ts'
import type { PolicyChange, PolicySet, PolicyTable } from '../../agent/ruleset/table.ts'
import { enterScratchNode, run } from './scratch.ts'

await enterScratchNode()
const nft = Nftables.load()
t.after(() => nft.close())

const SETTINGS = {
  nodeName: 'n1',
  mode: 'default',
  failsOpen: false,
  tunnelPorts: { vxlan: 4789, wireguard: 51820 },
} as const
const keys = (count: number) => new Set(Array.from({ length: count }, (_, i) => `10.42.${i >> 8}.${i & 255}`))
const SETS: readonly PolicySet[] = [
  { name: 'pods4-1', type: 'ipv4_addr', isInterval: false, comment: 'many', elements: keys(2_500) },
  { name: 'pods4-2', type: 'ipv4_addr', isInterval: false, comment: 'few', elements: keys(5) },
]
const CHAIN = { name: 'in-1', rules: SETS.map(({ name }) => marked(`ip saddr @${name} return`, name)) }

/** Of the base chain through which all packets go. */
const forwardHandle = async () =>
  (await run('nft', '-a', 'list', 'table', 'inet', 'bramble-policy')).match(/chain forward .*handle (\d+)/)?.[1]

function change(base: PolicyTable): { readonly made: PolicyChange; readonly after: PolicyTable } {
  const made: PolicyChange = {
    addedSets: SETS,
    removedSets: [],
    addedChains: [CHAIN],
    removedChains: [],
    addedCounters: [],
    removedCounters: [],
    addedElements: new Map([['ingress4', ['10.42.0.5 : jump in-1']]]),
    removedElements: new Map(),
  }
  const ingress = { name: 'ingress4', type: 'ipv4_addr', elements: new Map([['10.42.0.5', 'in-1']]) }
  const after = {
    ...base,
    sets: new Map([...base.sets, ...SETS.map((set) => [set.name, set] as const)]),
    maps: new Map([...base.maps, ['ingress4', ingress]]),
    chains: new Map([...base.chains, ['in-1', CHAIN]]),
  }
  return { made, after }
}

t.test('a change with sets of any size leads to the table that was wanted', async (t) => {
  const table = new KernelTable(nft)
  const before = new DesiredPolicy(SETTINGS).table
  await table.replace(before)
  t.equal(await table.damage(before, 'everything'), undefined)
  const { made, after } = change(before)
  await table.change(made)
  t.equal(await table.damage(after, 'everything'), undefined)
  t.not(await table.damage(before, 'everything'), undefined)
})

t.test('hard case 8: a range that somebody puts in the place of another one is seen, in both families', async (t) => {
  const table = new KernelTable(nft)
  const base = new DesiredPolicy(SETTINGS).table
  const ranges = {
    4: ['10.0.0.0/8', '192.0.2.1', '198.51.100.3-198.51.100.9', '203.0.113.0/25'],
    6: ['fd00::/8', '2001:db8::1', '2001:db8::3-2001:db8::9'],
  }
  const sets = ([4, 6] as const).map((family) => {
    const [name, type] = [`cidrs${family}-1`, `ipv${family}_addr`]
    const set: PolicySet = { name, type, isInterval: true, comment: '', elements: new Set(ranges[family]) }
    return [name, set] as const
  })
  const wanted = { ...base, sets: new Map([...base.sets, ...sets]) }
  await table.replace(wanted)
  t.equal(await table.damage(wanted, 'everything'), undefined)
  for (const [set, old, other] of [
    ['cidrs4-1', '203.0.113.0/25', '203.0.113.0/24'],
    ['cidrs4-1', '198.51.100.3-198.51.100.9', '198.51.100.3-198.51.100.8'],
    ['cidrs6-1', '2001:db8::1', '2001:db8::2'],
  ] as const) {
    const verb = (verb: string, element: string) => `${verb} element inet bramble-policy ${set} { ${element} }`
    await run('nft', `${verb('delete', old)}; ${verb('add', other)}`)
    t.equal(await table.damage(wanted, 'everything'), `the set ${set} has other elements`)
    await table.takeOver(wanted)
    t.equal(await table.damage(wanted, 'everything'), undefined, 'and it is put back')
  }
})

t.test('a change that the kernel refuses leaves the rules as they were', async (t) => {
  const table = new KernelTable(nft)
  const before = new DesiredPolicy(SETTINGS).table
  await table.replace(before)
  const rules = () => run('nft', 'list', 'chains')
  const were = await rules()
  await t.rejects(table.change({ ...change(before).made, removedChains: ['in-2'] }), { code: 'NFTABLES' })
  t.equal(await rules(), were)
  await table.replace(before)
  t.equal(await table.damage(before, 'everything'), undefined, 'and the table made anew is whole')
})

t.test('an agent that takes over changes what is different, and nothing else', async (t) => {
  const table = new KernelTable(nft)
  const before = new DesiredPolicy(SETTINGS).table
  const { after } = change(before)
  await table.replace(before)
  const handle = await forwardHandle()
  await table.takeOver(after)
  t.equal(await table.damage(after, 'everything'), undefined)
  t.equal(await forwardHandle(), handle, 'the base chain is the one that was there')
  await table.takeOver(before)
  t.equal(await table.damage(before, 'everything'), undefined)
  t.equal(await forwardHandle(), handle)
  await table.takeOver(before)
  t.equal(await forwardHandle(), handle)
})

t.test('what somebody has spoilt is put right in place: packets meet base chains at each moment', async (t) => {
  const table = new KernelTable(nft)
  const { after } = change(new DesiredPolicy(SETTINGS).table)
  await table.replace(after)
  const handle = await forwardHandle()
  for (const harm of [
    'flush chain inet bramble-policy forward',
    'insert rule inet bramble-policy forward accept',
    'flush chain inet bramble-policy in-1; add rule inet bramble-policy in-1 accept',
    'flush map inet bramble-policy ingress4; flush set inet bramble-policy pods4-2',
    'add chain inet bramble-policy mine; add rule inet bramble-policy forward jump mine',
    'add set inet bramble-policy theirs { type ipv4_addr; }; add rule inet bramble-policy forward ip saddr @theirs accept',
    'add chain inet bramble-policy theirs { type filter hook forward priority -7; policy drop; }',
    'delete element inet bramble-policy ingress4 { 10.42.0.5 }; add element inet bramble-policy ingress4 { 10.42.0.5 : drop }',
  ]) {
    await run('nft', harm)
    t.not(await table.damage(after, 'everything'), undefined, harm)
    await table.takeOver(after)
    t.equal(await table.damage(after, 'everything'), undefined, harm)
    t.equal(await forwardHandle(), handle, `${harm}: the base chain is the one that was there`)
  }
})

t.test('what cannot be put right in place is made anew', async (t) => {
  const table = new KernelTable(nft)
  const { after } = change(new DesiredPolicy(SETTINGS).table)
  for (const harm of [
    'delete table inet bramble-policy; add table inet bramble-policy; add chain inet bramble-policy forward { type filter hook forward priority 7; policy accept; }',
    'delete table inet bramble-policy; add table inet bramble-policy; add set inet bramble-policy links4 { type ipv4_addr; }',
    'add table inet bramble-policy { flags dormant; }',
    'delete table inet bramble-policy',
  ]) {
    await table.replace(after)
    await run('nft', harm)
    await table.takeOver(after)
    t.equal(await table.damage(after, 'everything'), undefined, harm)
  }
})
