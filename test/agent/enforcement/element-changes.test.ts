import t from 'tap'
import { elementChanges, setsApart } from '../../../agent/enforcement/element-changes.ts'
import type { PolicyChange, PolicySet } from '../../../agent/ruleset/table.ts'

const NOTHING: PolicyChange = {
  addedSets: [],
  removedSets: [],
  addedChains: [],
  removedChains: [],
  addedCounters: [],
  removedCounters: [],
  addedElements: new Map(),
  removedElements: new Map(),
}
const addresses = (count: number) => Array.from({ length: count }, (_, i) => `10.42.${i >> 8}.${i & 255}`)
const set = (name: string, count: number, isInterval = false): PolicySet => ({
  name,
  type: 'ipv4_addr',
  isInterval,
  comment: 'pods',
  elements: new Set(addresses(count)),
})

t.test('a change of elements alone is elements with their types, those that go first', async (t) => {
  const change = {
    ...NOTHING,
    addedElements: new Map([
      ['ingress6', ['fd42::5 : jump in-1']],
      ['ports4-1', ['10.42.0.5 . 6 . 80']],
      ['nodes6-1', ['fd42::1']],
    ]),
    removedElements: new Map([['links4', ['brm000000000001 . 02:00:00:00:00:01 . 10.42.0.5']]]),
  }
  t.same(elementChanges(change), [
    {
      verb: 'delete',
      set: 'links4',
      type: 'ifname . ether_addr . ipv4_addr',
      elements: [['brm000000000001 . 02:00:00:00:00:01 . 10.42.0.5', '']],
    },
    { verb: 'add', set: 'ingress6', type: 'ipv6_addr', elements: [['fd42::5', 'in-1']] },
    {
      verb: 'add',
      set: 'ports4-1',
      type: 'ipv4_addr . inet_proto . inet_service',
      elements: [['10.42.0.5 . 6 . 80', '']],
    },
    { verb: 'add', set: 'nodes6-1', type: 'ipv6_addr', elements: [['fd42::1', '']] },
  ])
})

t.test('what is more than elements, or too many of them, is not', async (t) => {
  const addedElements = new Map([['pods4-1', ['10.42.0.5']]])
  t.equal(elementChanges({ ...NOTHING, addedElements, removedChains: ['in-1'] }), undefined)
  t.equal(elementChanges({ ...NOTHING, addedElements, addedSets: [set('pods4-2', 1)] }), undefined)
  t.equal(elementChanges({ ...NOTHING, addedElements: new Map([['pods4-1', addresses(1_001)]]) }), undefined)
  const many = Array.from({ length: 51 }, (_, i) => [`pods4-${i}`, ['10.42.0.5']] as const)
  t.equal(elementChanges({ ...NOTHING, addedElements: new Map(many) }), undefined)
})

t.test('new sets with many elements are made empty and filled in parts; small ones and ranges stay', async (t) => {
  const addedSets = [set('pods4-1', 2_500), set('pods4-2', 99), set('cidrs4-1', 2_500, true)]
  const { sets, fillings, rest } = setsApart({ ...NOTHING, addedSets, removedChains: ['in-1'] })
  t.same(sets, [{ ...addedSets[0], elements: new Set() }])
  t.same(
    fillings.map(({ verb, set, elements }) => [verb, set, [...elements].length]),
    [
      ['add', 'pods4-1', 1_000],
      ['add', 'pods4-1', 1_000],
      ['add', 'pods4-1', 500],
    ],
  )
  t.same(
    fillings.flatMap(({ elements }) => Array.from(elements, ([key]) => key)),
    addresses(2_500),
  )
  t.same(rest, { ...NOTHING, addedSets: addedSets.slice(1), removedChains: ['in-1'] })
})
