import { type Policy, policyId } from '../policy.ts'
import type { ViewProblem } from '../problem.ts'
import type { ClusterNode } from '../view.ts'
import type { ClusterNamespace, ClusterPod, Workloads } from '../workloads.ts'
import type { ManifestObject, ManifestValue } from './manifest-objects.ts'

/** All that a folder of manifests says. */
export interface Contents {
  readonly nodes: ReadonlyMap<string, ClusterNode>
  readonly workloads: Workloads
  /** Of Nodes; and of all else. */
  readonly nodeProblems: readonly ViewProblem[]
  readonly workloadProblems: readonly ViewProblem[]
}

/**
 * Pure, but for `homes`. What did not change is the same object as before.
 * @param files what each file says, in order
 * @param homes the file of each object, as it was; and as it is when this returns
 */
export function contentsOf(
  files: ReadonlyMap<string, readonly ManifestObject[]>,
  homes: Map<string, string>,
  before: Contents | undefined,
): Contents {
  const problems = { nodes: [] as ViewProblem[], others: [] as ViewProblem[] }
  const report = (object: string, { kind }: Pick<ManifestObject, 'kind'>, reason: string) =>
    problems[kind === 'Node' ? 'nodes' : 'others'].push({ object, reason })
  for (const [file, objects] of files)
    for (const object of objects) for (const reason of object.problems) report(file, object, `${object.id}: ${reason}`)

  const nodes = new Map<string, ClusterNode>()
  const pods = new Map<string, ClusterPod>()
  const namespaces = new Map<string, ClusterNamespace>()
  const policies = new Map<string, Policy>()
  for (const value of distinct(files, homes, report)) {
    if (value.kind === 'Node') nodes.set(value.node.name, value.node)
    else if (value.kind === 'Pod') pods.set(`${value.pod.namespace}/${value.pod.name}`, value.pod)
    else if (value.kind === 'Namespace') namespaces.set(value.namespace.name, value.namespace)
    else policies.set(policyId(value.policy), value.policy)
  }
  return {
    nodes: sameOr(before?.nodes, nodes),
    workloads: {
      pods: sameOr(before?.workloads.pods, pods),
      namespaces: sameOr(before?.workloads.namespaces, namespaces),
      policies: sameOr(before?.workloads.policies, policies),
    },
    nodeProblems: problems.nodes,
    workloadProblems: problems.others,
  }
}

/** The keys of what came, went or changed. */
export function differing<T>(before: ReadonlyMap<string, T> | undefined, after: ReadonlyMap<string, T>): Set<string> {
  if (before === after) return new Set()
  const keys = new Set([...(before?.keys() ?? []), ...after.keys()])
  return new Set([...keys].filter((key) => before?.get(key) !== after.get(key)))
}

/**
 * Of two objects with one name that counts which was there before: a copied file must not take a node's pods away, nor
 * a pod its labels. Of two new ones the first file's does.
 */
function distinct(
  files: ReadonlyMap<string, readonly ManifestObject[]>,
  homes: Map<string, string>,
  report: (file: string, object: ManifestObject, reason: string) => void,
): ManifestValue[] {
  const found = new Map<string, Map<string, ManifestObject>>()
  for (const [file, objects] of files)
    for (const object of objects) {
      if (!object.value) continue
      const inFiles = found.get(object.id) ?? new Map<string, ManifestObject>()
      found.set(object.id, inFiles)
      if (inFiles.has(file)) report(file, object, `has ${object.id} twice; the first one counts`)
      else inFiles.set(file, object)
    }
  const values: ManifestValue[] = []
  for (const [id, inFiles] of found) {
    const former = homes.get(id) ?? ''
    const [first = ''] = inFiles.keys()
    const home = inFiles.has(former) ? former : first
    for (const [file, object] of inFiles)
      if (file !== home) report(file, object, `${id} is in ${home} already, which counts; remove one of them`)
    const value = inFiles.get(home)?.value
    if (value) values.push(value)
    homes.set(id, home)
  }
  for (const id of homes.keys()) if (!found.has(id)) homes.delete(id)
  return values
}

function sameOr<T>(before: ReadonlyMap<string, T> | undefined, after: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
  return before && differing(before, after).size === 0 ? before : after
}
