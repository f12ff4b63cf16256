import { setTimeout as sleep } from 'node:timers/promises'
import type { Lab } from './lab.ts'
import { type AgentCluster, makeSmallClusters, type SmallCluster } from './small-cluster.ts'
import { pairedRow, type Row, valueRow } from './table.ts'
import { type Pod, Traffic } from './traffic.ts'

const TURNS_PER_ROUND = 2
const STREAM_MS = 400
const ROUND_TRIPS = 3_000
const BY_HAND = 'laid by hand'

/** A Raspberry Pi's port. */
const LOAD_BYTES_PER_S = 125_000_000
const DATAGRAMS_PER_S = 1_000
/** Between two restarts: TCP says again what it missed within a second. */
const PAUSE_MS = 300
/** With what a stream begins (RFC 6928): less than that again is no burst. */
const BURST_SEGMENTS = 10

/** What goes from pod to pod over our routes, against the same laid by hand; and what happens to it while agents restart. */
export async function acrossNodes(lab: Lab): Promise<Row[]> {
  const { ours, byHand } = await makeSmallClusters(lab)
  const traffic = new Traffic(lab.programs.traffic)
  for (const { pods } of [ours, byHand]) for (const pod of [pods.near, pods.far]) await traffic.serve(pod)
  const rows = [
    ...(await sideBySide(lab, traffic, ours, byHand, 'near', 'direct')),
    ...(await sideBySide(lab, traffic, ours, byHand, 'far', 'VXLAN')),
    ...(await restarts(traffic, ours)),
  ]
  traffic.close()
  await ours.stop()
  return rows
}

/** Ours, by hand, by hand, ours: each turn has its own ratio. */
async function sideBySide(
  lab: Lab,
  traffic: Traffic,
  ours: SmallCluster,
  byHand: SmallCluster,
  to: 'near' | 'far',
  way: string,
): Promise<Row[]> {
  const megabytes = { ours: [] as number[], byHand: [] as number[] }
  const microseconds = { ours: [] as number[], byHand: [] as number[] }
  const measure = async (side: 'ours' | 'byHand') => {
    const { pods } = side === 'ours' ? ours : byHand
    megabytes[side].push((await traffic.stream(pods.first, pods[to], STREAM_MS)) / 1e6)
    microseconds[side].push(await traffic.roundTrip(pods.first, pods[to], ROUND_TRIPS))
  }
  for (let turn = 0; turn < TURNS_PER_ROUND * lab.rounds; turn++)
    for (const side of turn % 2 === 0 ? (['ours', 'byHand'] as const) : (['byHand', 'ours'] as const))
      await measure(side)
  const peer = (samples: readonly number[]) => ({ name: BY_HAND, samples })
  return [
    pairedRow(`pod to pod, ${way}, TCP throughput`, 'MB/s', megabytes.ours, peer(megabytes.byHand), { atLeast: 0.97 }),
    pairedRow(`pod to pod, ${way}, TCP round trip`, 'µs', microseconds.ours, peer(microseconds.byHand), {
      atMost: 1.05,
    }),
  ]
}

/** All three agents, one after the other, ended in order and killed; and as long a time in which nothing happens. */
async function restarts(traffic: Traffic, ours: AgentCluster): Promise<Row[]> {
  const startedMs = performance.now()
  for (const node of [0, 1, 2]) await ours.restart(node, 'SIGTERM')
  const enoughMs = Math.round(2 * (performance.now() - startedMs) + 10 * PAUSE_MS)

  const calm = await load(traffic, ours.pods, enoughMs, () => sleep(enoughMs))
  const busy = await load(traffic, ours.pods, enoughMs, async () => {
    for (const signal of ['SIGTERM', 'SIGKILL'] as const)
      for (const node of [0, 1, 2]) {
        await ours.restart(node, signal)
        await sleep(PAUSE_MS)
      }
  })
  return [
    valueRow('packets lost while agents restart, 1 Gbit/s of TCP beside them', 'packets', [busy.lost], 0),
    valueRow('… of so many', 'packets', [busy.sent]),
    valueRow('… lost in as long a time without', 'packets', [calm.lost]),
    valueRow('… TCP segments sent again, more than without', 'segments', [busy.again - calm.again], BURST_SEGMENTS),
    valueRow('… without', 'segments', [calm.again]),
  ]
}

/** A stream over VXLAN and datagrams on both ways, for at least as long as `work` takes. */
async function load(traffic: Traffic, pods: SmallCluster['pods'], ms: number, work: () => Promise<unknown>) {
  const { first, near, far } = pods
  const datagrams = (to: Pod) => traffic.datagrams(first, to, ms, DATAGRAMS_PER_S)
  const before = await traffic.sentAgain(first)
  const startedMs = performance.now()
  const [toNear, toFar] = await Promise.all([
    datagrams(near),
    datagrams(far),
    traffic.stream(first, far, ms, LOAD_BYTES_PER_S),
    work().then(() => {
      if (performance.now() - startedMs > ms + 1000) throw new Error('the restarts took longer than the traffic')
    }),
  ])
  const sent = toNear.sent + toFar.sent
  return { sent, lost: sent - toNear.arrived - toFar.arrived, again: (await traffic.sentAgain(first)) - before }
}
