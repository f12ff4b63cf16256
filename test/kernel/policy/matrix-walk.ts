import { clusterOf, type RawObject } from '../../agent/policy/clusters.ts'
import { after, BASE, isOpen, type MatrixCase, type MatrixStep, probeName, reachOf } from '../../agent/policy/matrix.ts'
import { judgeWay } from '../../agent/policy/oracle.ts'
import type { RawCluster } from '../../agent/policy/oracle-objects.ts'
import { type ClusterLab, lower } from './cluster-lab.ts'
import type { LabPod } from './lab.ts'
import type { Probe } from './probe.ts'

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
 * Takes the lab through the steps of a case; after each, every pod calls every other one, in both families, with real sockets.
 * @returns how many calls there were, and what came of them that should not have, in words
 */
export async function walk(lab: ClusterLab, pick: Pick) {
  await lab.become(BASE)
  const { name, steps } = caseOf(lab, pick)
  const wrong: string[] = []
  let calls = 0
  let objects: readonly RawObject[] = BASE
  for (const [number, step] of steps.entries()) {
    objects = after(objects, step)
    const cluster = clusterOf(await lab.become(objects))
    await lab.settled()
    const probes = probesOf(lab, cluster, step, pick.families)
    const differences = await lab.lab.differences(probes)
    wrong.push(...differences.map((difference) => `step ${number}: ${difference}`))
    calls += probes.length
  }
  return { name, calls, wrong }
}

function caseOf(lab: ClusterLab, { casesOf, index, families: [family = 4] }: Pick): MatrixCase {
  const found = casesOf((pod) => addressOf(lab.pod(pod), family))[index]
  if (!found) throw new Error(`there is no case ${index}`)
  return found
}

/** What is written by hand holds; of all else, the oracle's word. */
function probesOf(lab: ClusterLab, cluster: RawCluster, step: MatrixStep, families: readonly Family[]) {
  const pods = cluster.pods.map(({ metadata }) => lab.pod(`${metadata.namespace}/${metadata.name}`))
  const pairs = pods.flatMap((from) => pods.filter((to) => to !== from).map((to) => [from, to] as const))
  return lab.services.flatMap((service) =>
    FAMILIES.flatMap((family) => {
      const byHand = families.includes(family) ? reachOf(step, service) : undefined
      return pairs.map(([from, to]): Probe & { readonly what: string } => {
        const [source, destination] = [addressOf(from, family), addressOf(to, family)]
        const flow = { source, destination, protocol: service.protocol, destinationPort: service.port }
        const isAllowed = byHand ? isOpen(byHand, from.id, to.id) : judgeWay(cluster, flow).passes
        return {
          what: `${from.id} to ${to.id} (${destination}) at ${probeName(service)}`,
          netns: from.netns,
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
