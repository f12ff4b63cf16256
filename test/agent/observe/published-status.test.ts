import fc from 'fast-check'
import t from 'tap'
import { statusRow } from '../../../agent/api/status-all.ts'
import type { PublishedText } from '../../../agent/cluster/view.ts'
import {
  formatStatus,
  isSameInSubstance,
  type PublishedStatus,
  parseStatus,
} from '../../../agent/observe/published-status.ts'
import { RENEW_MS } from '../../../agent/observe/publisher.ts'

const STATUS: PublishedStatus = {
  version: '0.1.0',
  pods: 12,
  mtuBytes: 1450,
  policies: 7,
  ways: { direct: 2, vxlan: 1 },
  usedPercent: 5,
  problems: 1,
  problem: 'the module vxlan is missing',
}

t.test('what one agent writes another reads', async (t) => {
  t.same(parseStatus(formatStatus(STATUS, 1000)), { status: STATUS, atSeconds: 1000 })
  const { problem: _, ...good } = { ...STATUS, problems: 0 }
  t.same(parseStatus(formatStatus(good, 1000)), { status: good, atSeconds: 1000 })
  const inPod = { ...good, runsAs: 'pod' as const }
  t.same(parseStatus(formatStatus(inPod, 1000)), { status: inPod, atSeconds: 1000 })
})

t.test('a long problem is cut: all agents keep the words of all nodes', async (t) => {
  t.ok(formatStatus({ ...STATUS, problem: '\ud83d\ude00'.repeat(1000) }, 1e10).length < 512)
})

t.test('what nobody of us has written is no status, and makes nothing throw', async (t) => {
  for (const text of [
    '',
    '{',
    'null',
    '[]',
    '7',
    '{"version":1}',
    JSON.stringify({ ...STATUS, at: 1, ways: { direct: 'x' } }),
    JSON.stringify({ ...STATUS, at: 'now' }),
  ])
    t.equal(parseStatus(text), undefined, text)
  fc.assert(fc.property(fc.oneof(fc.json(), fc.string()), (text) => void parseStatus(text)))
})

t.test(
  'pods that come and go are nothing that all nodes must hear of at once; health, MTU and version are',
  async (t) => {
    const isSame = (change: Partial<PublishedStatus>) => isSameInSubstance(STATUS, { ...STATUS, ...change })
    t.ok(isSame({ pods: 13, usedPercent: 6, policies: 8, ways: { direct: 3 } }))
    for (const change of [
      { problems: 2 },
      { problem: 'another' },
      { mtuBytes: 1280 },
      { version: '0.2.0' },
      { ways: { none: 1 } },
    ])
      t.notOk(isSame(change), JSON.stringify(change))
  },
)

const NOW_MS = 1_800_000_000_000
const seen = (published?: PublishedText) => ({ node: 'pi-2', published, unready: undefined, pods: undefined })
const told = (secondsAgo: number, heardAtMs?: number) =>
  statusRow(
    seen({ text: formatStatus(STATUS, NOW_MS / 1000 - secondsAgo), ...(heardAtMs !== undefined && { heardAtMs }) }),
    NOW_MS,
    50_000,
  )

t.test('a node is silent when it has told nothing for longer than one that lives would', async (t) => {
  t.match(told(RENEW_MS / 1000), { secondsAgo: 600, isSilent: false })
  t.match(told((3 * RENEW_MS) / 1000), { secondsAgo: 1800, isSilent: true })
  t.same(statusRow(seen(), NOW_MS, 50_000), { node: 'pi-2', isSilent: true })
  t.same(statusRow(seen({ text: 'x' }), NOW_MS, 50_000), { node: 'pi-2', isSilent: true })
})

t.test('a node whose clock is wrong is as old as we have heard of it', async (t) => {
  t.match(told(1e9, 45_000), { secondsAgo: 5, isSilent: false })
  t.match(told(-1e9), { secondsAgo: 0, isSilent: false })
})
