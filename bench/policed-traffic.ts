import { run } from '../test/kernel/scratch.ts'
import { makeRealNode } from './big-cluster.ts'
import { startClusterProcess } from './cluster-process.ts'
import type { Lab } from './lab.ts'
import { makePods } from './pods.ts'
import { EVERY_NAMESPACE, NAMESPACES, PODS_PER_NODE, POLICIES_PER_NAMESPACE } from './policed-objects.ts'
import { POLICED_CLUSTER } from './policies.ts'
import { pairedRow, type Row } from './table.ts'
import { type Pod, Traffic } from './traffic.ts'

const TURNS = { quick: 3, whole: 12 } as const
const STREAM_MS = 300
const ROUND_TRIPS = 3_000
const CALLS = 1_000

/** Web pods of two namespaces of one team, which lets itself in where it has the port that policies call `http`. */
const [FROM, TO] = [0, 20]
const PORT = 8080

/** Nodes of the cluster of policies.ts, which differ in what of it is policed; the last has no table at all. */
const SIDES = { every: EVERY_NAMESPACE, few: `${FROM},${TO}`, none: EVERY_NAMESPACE } as const
type Side = keyof typeof SIDES
const NAMES = Object.keys(SIDES) as Side[]

type Samples = Record<Side, number[]>

/** What goes from pod to pod through the policies, against none, and against a few; without agents, whose work is done. */
export async function policedTraffic(lab: Lab): Promise<Row[]> {
  const traffic = new Traffic(lab.programs.traffic, PORT)
  const pods = {} as Record<Side, { from: Pod; to: Pod }>
  for (const side of NAMES) pods[side] = await makeSide(lab, side)
  await run('ip', 'netns', 'exec', 'policed-none', 'nft', 'delete', 'table', 'inet', 'bramble-policy')
  for (const side of NAMES) await traffic.serve(pods[side].to)
  const empty = (): Samples => ({ every: [], few: [], none: [] })
  const [megabytes, roundTrips, calls] = [empty(), empty(), empty()]
  const turns = lab.rounds === 1 ? TURNS.quick : TURNS.whole
  for (let turn = 0; turn < turns; turn++)
    for (const place of NAMES.keys()) {
      const side = NAMES[(turn + place) % NAMES.length] ?? 'every'
      const { from, to } = pods[side]
      megabytes[side].push((await traffic.stream(from, to, STREAM_MS)) / 1e6)
      roundTrips[side].push(await traffic.roundTrip(from, to, ROUND_TRIPS))
      calls[side].push(await traffic.call(from, to, CALLS))
    }
  traffic.close()
  for (const side of NAMES) await run('ip', 'netns', 'delete', `policed-${side}`)
  return [
    ...rows('TCP throughput', 'MB/s', megabytes, { atLeast: 0.95 }),
    ...rows('TCP round trip', 'µs', roundTrips, { atMost: 1.05 }),
    ...rows('TCP connection and round trip', 'µs', calls, { atMost: 1.05 }),
  ]
}

async function makeSide(lab: Lab, side: Side): Promise<{ from: Pod; to: Pod }> {
  const node = await makeRealNode(`policed-${side}`)
  await makePods(side, PODS_PER_NODE)
  const cluster = await startClusterProcess(node, POLICED_CLUSTER, lab.programs.agent, SIDES[side])
  await cluster.ask(`fill ${side}`)
  lab.diskBytes.push(await cluster.ask<number>('end'))
  cluster.end()
  return { from: await podOf(side, FROM), to: await podOf(side, TO) }
}

async function podOf(side: Side, number: number): Promise<Pod> {
  const netns = `${side}${number}`
  const shown = await run('ip', '-n', netns, '-4', '-oneline', 'address', 'show', 'dev', 'eth0')
  return { netns, address: /inet ([\d.]+)/.exec(shown)?.[1] ?? '' }
}

function rows(what: string, unit: string, samples: Samples, goal: { atLeast: number } | { atMost: number }): Row[] {
  const counts = { every: NAMESPACES * POLICIES_PER_NAMESPACE, few: 2 * POLICIES_PER_NAMESPACE }
  const through = `${counts.every.toLocaleString('en')} policies`
  return [
    pairedRow(`${what} through ${through}`, unit, samples.every, { name: 'no table', samples: samples.none }, goal),
    pairedRow('…', unit, samples.every, { name: `${counts.few} policies`, samples: samples.few }, goal),
  ]
}
