import { setTimeout as sleep } from 'node:timers/promises'
import type { Lab } from './lab.ts'
import { type AgentCluster, makeSmallClusters, type SmallCluster } from './small-cluster.ts'
import { pairedRow, type Row, valueRow } from './table.ts'
import { type Pod, Traffic } from './traffic.ts'

const TURNS = { quick: 2, whole: 10 } as const
const STREAM_MS = 300
const ROUND_TRIPS = 3_000

/** A Raspberry Pi's port. */
const LOAD_BYTES_PER_S = 125_000_000
const DATAGRAMS_PER_S = 1_000
/** Between two restarts: TCP says again what it missed within a second. */
const PAUSE_MS = 300
/** With what a stream begins (RFC 6928): less than that again is no burst. */
const BURST_SEGMENTS = 10

/** What goes from pod to pod over our routes, against the same laid by hand; and what happens to it while agents restart. */
export async function acrossNodes(lab: Lab): Promise<Row[]> {
  const clusters = await makeSmallClusters(lab)
  const { ours } = clusters
  const traffic = new Traffic(lab.programs.traffic)
  for (const { pods } of Object.values(clusters)) for (const pod of [pods.near, pods.far]) await traffic.serve(pod)
  const rows = [
    ...(await sideBySide(lab, traffic, clusters, 'near', 'direct')),
    ...(await sideBySide(lab, traffic, clusters, 'far', 'VXLAN')),
    ...(await restarts(traffic, ours)),
  ]
  traffic.close()
  await ours.stop()
  return rows
}

const SIDES = ['ours', 'byHand', 'masquerading'] as const

/** Each turn begins with another side, and has its own ratio. */
async function sideBySide(
  lab: Lab,
  traffic: Traffic,
  clusters: Readonly<Record<(typeof SIDES)[number], SmallCluster>>,
  to: 'near' | 'far',
  way: string,
): Promise<Row[]> {
  const megabytes = { ours: [] as number[], byHand: [] as number[], masquerading: [] as number[] }
  const microseconds = { ours: [] as number[], byHand: [] as number[], masquerading: [] as number[] }
  const turns = lab.rounds === 1 ? TURNS.quick : TURNS.whole
  for (let turn = 0; turn < turns; turn++)
    for (const [place] of SIDES.entries()) {
      const side = SIDES[(turn + place) % SIDES.length] ?? 'ours'
      const { pods } = clusters[side]
      megabytes[side].push((await traffic.stream(pods.first, pods[to], STREAM_MS)) / 1e6)
      microseconds[side].push(await traffic.roundTrip(pods.first, pods[to], ROUND_TRIPS))
    }
  const byHand = (samples: readonly number[]) => ({ name: 'laid by hand', samples })
  const masquerading = (samples: readonly number[]) => ({ name: '… and masqueraded', samples })
  return [
    pairedRow(`pod to pod, ${way}, TCP throughput`, 'MB/s', megabytes.ours, byHand(megabytes.byHand), {
      atLeast: 0.97,
    }),
    pairedRow('…', 'MB/s', megabytes.ours, masquerading(megabytes.masquerading)),
    pairedRow(`pod to pod, ${way}, TCP round trip`, 'µs', microseconds.ours, byHand(microseconds.byHand), {
      atMost: 1.05,
    }),
    pairedRow('…', 'µs', microseconds.ours, masquerading(microseconds.masquerading)),
  ]
}

/** All three agents, one after the other, ended in order and killed; and as long a time in which nothing happens. */
async function restarts(traffic: Traffic, ours: AgentCluster): Promise<Row[]> {
  const startedMs = performance.now()
  for (const node of [0, 1, 2]) await ours.restart(node, 'SIGTERM')
  const enoughMs = Math.round(2.5 * (performance.now() - startedMs) + 10 * PAUSE_MS)

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
