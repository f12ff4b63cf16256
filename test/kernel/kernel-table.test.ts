import t from 'tap'
import { KernelTable } from '../../agent/enforcement/kernel-table.ts'
import { Nftables } from '../../agent/kernel/nftables.ts'
import { DesiredPolicy } from '../../agent/policy/desired.ts'
import { marked } from '../../agent/policy/names.ts'
import type { PolicyChange, PolicySet, PolicyTable } from '../../agent/policy/table.ts'
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
