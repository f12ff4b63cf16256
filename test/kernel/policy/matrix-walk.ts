import { clusterOf, keyOf, type RawObject } from '../../agent/policy/clusters.ts'
import { isOpen, type MatrixCase, type MatrixStep, probeName, reachOf } from '../../agent/policy/matrix.ts'
import { judgeWay } from '../../agent/policy/oracle.ts'
import { type ClusterLab, lower } from './cluster-lab.ts'
import type { Expectation } from './differences.ts'
import type { LabPod } from './lab.ts'
import { Lane } from './matrix-lane.ts'

const FAMILIES = [4, 6] as const
type Family = (typeof FAMILIES)[number]

/** Cases as test/agent/policy/matrix.ts has them, for pods with these addresses. */
export type CasesOf = (addressOf: (pod: string) => string) => MatrixCase[]

/** One of the cases. */
export interface Pick {
  readonly casesOf: CasesOf
  readonly index: number
  readonly name: string
  readonly steps: number
  /** For which its addresses are written, and its expectations hold: both, where there are no addresses in it. */
  readonly families: readonly Family[]
}

export function picksOf(casesOf: CasesOf): Pick[] {
  const [of4 = [], of6 = []] = ['10.42.1.2', 'fd42::2'].map((address) => casesOf(() => address))
  return of4.flatMap((one, index): Pick[] => {
    const isSame = JSON.stringify(one) === JSON.stringify(of6[index])
    const ways = isSame ? [FAMILIES] : FAMILIES.map((family) => [family])
    return ways.map((families) => ({ casesOf, index, name: one.name, steps: one.steps.length, families }))
  })
}

/**
 * Takes the lab through the steps of some cases, side by side, each in a lane of its own; after each step, every pod of a
 * lane calls every other one, in both families, with real sockets. What takes time is to wait for the agents, and for what
 * should not come: that is done for all of them at once.
 * @returns how many calls there were, and what came of them that should not have, in words
 */
export async function walk(lab: ClusterLab, picks: readonly Pick[], lanes: readonly Lane[] = [new Lane(0)]) {
  const become = () => lab.become(lanes.flatMap(({ objects }) => objects))
  for (const lane of lanes) lane.begin()
  await become()
  const walks = picks.map((pick, index) => {
    const lane = lanes[index]
    if (!lane) throw new Error(`there is no lane for ${pick.name}`)
    return { pick, lane, steps: stepsOf(lab, lane, pick) }
  })
  const wrong: string[] = []
  let count = 0
  for (let number = 0; number < Math.max(...picks.map(({ steps }) => steps)); number++) {
    for (const { lane, steps } of walks) lane.take(steps[number] ?? {})
    const told = await become()
    await lab.settled()
    const calls = walks.flatMap(({ pick: { name, families }, lane, steps }) =>
      callsOf(lab, lane, told, steps[number] ?? {}, families).map(
        (call): Expectation => ({ ...call, what: `${name}, step ${number}: ${call.what}` }),
      ),
    )
    wrong.push(...(await lab.lab.differences(calls)))
    count += calls.length
  }
  return { calls: count, wrong }
}

function stepsOf(lab: ClusterLab, lane: Lane, { casesOf, index, families: [family = 4] }: Pick): readonly MatrixStep[] {
  const found = casesOf((pod) => addressOf(lab.pod(lane.key(pod)), family))[index]
  if (!found) throw new Error(`there is no case ${index}`)
  return found.steps
}

/** What is written by hand holds; of all else, the oracle's word. */
function callsOf(
  lab: ClusterLab,
  lane: Lane,
  told: readonly RawObject[],
  step: MatrixStep,
  families: readonly Family[],
): Expectation[] {
  const own = new Set(lane.objects.map(keyOf))
  const cluster = clusterOf(told.filter((one) => one.kind === 'Node' || own.has(keyOf(one))))
  const pods = lane.pods.map((name) => ({ name, pod: lab.pod(lane.key(name)) }))
  const pairs = pods.flatMap((from) => pods.filter((to) => to !== from).map((to) => [from, to] as const))
  return lab.services.flatMap((service) =>
    FAMILIES.flatMap((family) => {
      const byHand = families.includes(family) ? reachOf(step, service) : undefined
      return pairs.map(([from, to]): Expectation => {
        const [source, destination] = [addressOf(from.pod, family), addressOf(to.pod, family)]
        const flow = { source, destination, protocol: service.protocol, destinationPort: service.port }
        const isAllowed = byHand ? isOpen(byHand, from.name, to.name) : judgeWay(cluster, flow).passes
        return {
          what: `${from.name} to ${to.name} (${destination}) at ${probeName(service)}`,
          netns: from.pod.netns,
          protocol: lower(service.protocol),
          address: destination,
          port: service.port,
          expected: isAllowed ? 'open' : 'closed',
        }
      })
    }),
  )
}

function addressOf({ addresses }: LabPod, family: Family): string {
  return addresses[family === 4 ? 0 : 1] ?? ''
}
