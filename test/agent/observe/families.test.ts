import t from 'tap'
import { renderExposition } from '../../../agent/observe/exposition.ts'
import { familiesOf, MOST_PEERS, MOST_POLICY_SERIES, type Now } from '../../../agent/observe/families.ts'
import type { PolicyCounter } from '../../../agent/ruleset/table.ts'
import { readExposition } from './exposition-text.ts'

const NOW: Now = {
  version: '0.1.0',
  nodeVersion: '24.0.0',
  datastore: 'kubernetes',
  problems: 0,
  callsUnderWay: 0,
  pods: 2,
  linksToDelete: 0,
  pools: [{ cidr: '10.42.0.0/24', capacity: 255, used: 2, cooling: 1 }],
  viewAgeSeconds: 0,
  viewChanges: 3,
  peers: new Map(),
  mtuBytes: 1450,
  policies: 0,
  counted: new Map(),
}

const samples = (change: Partial<Now>, name: string) =>
  readExposition(renderExposition(familiesOf({ ...NOW, ...change }))).filter((sample) => sample.name === name)

/** A table with these counters, of which the kernel has counted ten packets and a thousand bytes each. */
const counting = (...counters: PolicyCounter[]): Partial<Now> => ({
  table: { elements: 7, chains: 3, counters },
  counted: new Map(counters.map(({ name }) => [name, { packets: 10, bytes: 1000 }])),
})
const dropped = (name: string, policy?: string): PolicyCounter => ({
  ...{ name, effect: 'dropped', direction: 'ingress' },
  ...(policy !== undefined && { policy }),
})

t.test('a peer has a series for each way, and the ways their counts', async (t) => {
  const peers = new Map([
    ['pi-2', ['direct']],
    ['pi-3', ['direct', 'vxlan']],
    ['pi-4', ['none']],
  ])
  t.same(
    samples({ peers }, 'bramble_peer_way').map(({ labels }) => `${labels.peer} ${labels.way}`),
    ['pi-4 none', 'pi-2 direct', 'pi-3 direct', 'pi-3 vxlan'],
  )
  t.same(
    samples({ peers }, 'bramble_peer_ways').map(({ labels, value }) => [labels.way, value]),
    [
      ['direct', 2],
      ['vxlan', 1],
      ['none', 1],
    ],
  )
})

t.test('of many peers those without a way are shown, and how many are not shown', async (t) => {
  const names = Array.from({ length: MOST_PEERS + 50 }, (_, index) => `pi-${String(index).padStart(4, '0')}`)
  const peers = new Map(names.map((name, index) => [name, [index === names.length - 1 ? 'none' : 'vxlan']]))
  const shown = samples({ peers }, 'bramble_peer_way')
  t.equal(shown.length, MOST_PEERS)
  t.equal(shown[0]?.labels.way, 'none')
  t.same(samples({ peers }, 'bramble_peers')[0]?.value, names.length)
  t.match(samples({ peers }, 'bramble_series_left_out'), [{ labels: { kind: 'peer' }, value: 50 }, { value: 0 }])
})

t.test('each policy has a series of its own, and what was dropped is counted once beside them', async (t) => {
  const change = counting(
    ...['NetworkPolicy b/y', 'NetworkPolicy a/x'].map((policy, index) => dropped(`drop-in-${index}`, policy)),
    dropped('dropped-in'),
    { name: 'spoofed', effect: 'spoofed' },
  )
  const [direction, effect] = ['ingress', 'dropped']
  t.same(
    samples(change, 'bramble_policy_packets_total').map(({ labels, value }) => ({ ...labels, value })),
    ['NetworkPolicy a/x', 'NetworkPolicy b/y'].map((policy) => ({ policy, direction, effect, value: 10 })),
  )
  t.same(
    samples(change, 'bramble_dropped_packets_total').map(({ labels, value }) => ({ ...labels, value })),
    [
      { direction, effect, value: 10 },
      { direction: '', effect: 'spoofed', value: 10 },
    ],
  )
  t.match(samples(change, 'bramble_dropped_bytes_total'), [{ value: 1000 }, { value: 1000 }])
})

t.test('thousands of policies are no thousands of series', async (t) => {
  const counters = Array.from({ length: 4000 }, (_, index) => dropped(`drop-in-${index}`, `NetworkPolicy n/${index}`))
  const change = counting(...counters)
  t.equal(samples(change, 'bramble_policy_packets_total').length, MOST_POLICY_SERIES)
  t.match(samples(change, 'bramble_series_left_out'), [{}, { labels: { kind: 'policy' }, value: 3500 }])
})

t.test('a kernel that does not tell its counters is said to, and the rest is told', async (t) => {
  const change = { ...counting(dropped('drop-in-1', 'a')), counted: undefined }
  t.same(samples(change, 'bramble_policy_packets_total'), [])
  t.equal(samples(change, 'bramble_nft_unreadable')[0]?.value, 1)
  t.equal(samples(change, 'bramble_nft_elements')[0]?.value, 7)
})

t.test('before the first table there are no elements, and not none', async (t) => {
  t.same(samples({}, 'bramble_nft_elements'), [])
})
