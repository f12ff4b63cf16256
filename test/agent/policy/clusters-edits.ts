import fc from 'fast-check'
import type { PolicyInput } from '../../../agent/policy/input.ts'
import type { ChangedState } from '../../../agent/ruleset/desired.ts'
import { cluster, type Edit, edit, edited } from './clusters.ts'
import { inputOf } from './clusters-input.ts'
import { type SitePick, siteOf, sitePick } from './clusters-site.ts'
import type { Site } from './oracle.ts'
import type { RawCluster } from './oracle-objects.ts'

/** A cluster that changes, step by step, and with it what a node's agent knows. */
export interface History {
  readonly cluster: RawCluster
  readonly site: SitePick
  /** Each one or more edits that are heard of together; and which pods are unknown then. */
  readonly steps: readonly { readonly edits: readonly Edit[]; readonly unknown: readonly number[] }[]
}

export interface Moment {
  readonly cluster: RawCluster
  readonly site: Site
  readonly input: PolicyInput
  /** Since the moment before; of the first everything. */
  readonly changed: ChangedState
}

const step = fc.record({
  edits: fc.array(edit, { minLength: 1, maxLength: 4 }),
  unknown: fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.tuple(fc.nat(3)) }),
})

export const history: fc.Arbitrary<History> = fc.record({
  cluster,
  site: sitePick,
  steps: fc.array(step, { minLength: 1, maxLength: 8, size: 'max' }),
})

export function momentsOf({ cluster: first, site: pick, steps }: History): Moment[] {
  const moments = [momentOf(first, siteOf(first, pick))]
  for (const { edits, unknown } of steps) {
    const before = moments.at(-1)
    const cluster = edits.reduce(edited, before?.cluster ?? first)
    moments.push(momentOf(cluster, siteOf(cluster, { ...pick, unknown }), before))
  }
  return moments
}

function momentOf(cluster: RawCluster, site: Site, before?: Moment): Moment {
  const input = unchangedFrom(inputOf(cluster, site, before?.input, before?.cluster), before?.input)
  const { workloads, nodes, localPods } = input
  const was = before?.input
  const changed = {
    pods: changedKeys(workloads.pods, was?.workloads.pods),
    namespaces: changedKeys(workloads.namespaces, was?.workloads.namespaces),
    policies: changedKeys(workloads.policies, was?.workloads.policies),
    nodes: changedKeys(nodes, was?.nodes),
    localPods: changedKeys(localPods, was?.localPods),
  }
  return { cluster, site, input, changed }
}

/** Local pods that say the same are the same object: whoever keeps them does it so. */
function unchangedFrom(input: PolicyInput, before: PolicyInput | undefined): PolicyInput {
  const localPods = Array.from(input.localPods, ([link, pod]) => {
    const was = before?.localPods.get(link)
    return [link, was && JSON.stringify(was) === JSON.stringify(pod) ? was : pod] as const
  })
  return { ...input, localPods: new Map(localPods) }
}

function changedKeys<T>(after: ReadonlyMap<string, T>, before: ReadonlyMap<string, T> = new Map()): Set<string> {
  const keys = [...after.keys(), ...before.keys()]
  return new Set(keys.filter((key) => after.get(key) !== before.get(key)))
}
