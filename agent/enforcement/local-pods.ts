import type { Lease } from '../../ipam/leases.ts'
import { mayBeCut } from '../alias.ts'
import type { ClusterPod, Workloads } from '../cluster/workloads.ts'
import { hostLinkName, podMacOf } from '../ownership.ts'
import type { LocalPod } from '../policy/input.ts'

/** What is asked of the source of pods: see WorkloadSource. */
export interface Knowledge {
  /** undefined: nothing has been told yet. */
  readonly workloads: Workloads | undefined
  /** What it does not tell does not exist: there is nothing to wait for. */
  readonly isComplete: boolean
}

/** Names and MACs are digests: each is worked out once. */
const links = new WeakMap<Lease, { readonly link: string; readonly mac: string }>()

/** A pod that this node has wired, as policies see it: who it is the cluster says, and where it is its lease. */
export function localPod(lease: Lease, { workloads, isComplete }: Knowledge): LocalPod {
  const { addresses, podUid } = lease
  const link = linkOf(lease)
  // Of a container there is nothing to know; but it may be any pod whose record cannot be read.
  if (lease.pod === '')
    return { ...link, addresses, pod: undefined, uid: undefined, isUnknown: lease.found !== undefined && !isComplete }
  const found = workloads && find(lease, workloads)
  const pod = found?.[0] ?? lease.pod
  // Which policies select it may hang on the labels of its namespace.
  const isKnown = isComplete || (found !== undefined && workloads?.namespaces.has(found[1].namespace))
  const isUnknown = workloads === undefined || !isKnown
  return { ...link, addresses, pod, uid: found ? found[1].uid : isComplete ? '' : podUid, isUnknown }
}

/** The node's end of its pair, and the MAC of its own. */
export function linkOf(lease: Lease): { readonly link: string; readonly mac: string } {
  const known = links.get(lease) ?? lease.found
  if (known) return known
  const { containerId, ifname } = lease
  const link = { link: hostLinkName(containerId, ifname), mac: podMacOf(containerId, ifname) }
  links.set(lease, link)
  return link
}

/** @returns undefined where the cluster has no such pod, or another one of that name */
function find(lease: Lease, { pods }: Workloads): [string, ClusterPod] | undefined {
  const { pod, podUid } = lease
  const named = pods.get(pod)
  if (named && (podUid === undefined || named.uid === '' || named.uid === podUid)) return [pod, named]
  if (podUid === undefined || named) return undefined
  // A long name is cut where the kernel keeps it for us over a restart; of all others there is nothing to look for.
  if (!mayBeCut(lease)) return undefined
  for (const entry of pods) if (entry[1].uid === podUid && entry[0].startsWith(pod)) return entry
  return undefined
}

/**
 * The pods of a source that is complete, and those of this node that it does not tell of: they have no labels, and are in
 * their namespace all the same.
 */
export function withBarePods(workloads: Workloads, localPods: Iterable<LocalPod>): Workloads {
  const bare = [...localPods].flatMap(({ pod, isUnknown }) =>
    pod === undefined || isUnknown || workloads.pods.has(pod) ? [] : [[pod, barePod(pod)] as const],
  )
  return bare.length === 0 ? workloads : { ...workloads, pods: new Map([...workloads.pods, ...bare]) }
}

/** @param key namespace/name */
export function barePod(key: string): ClusterPod {
  const [namespace = '', name = ''] = key.split('/')
  return { namespace, name, uid: '', nodeName: '', labels: {}, addresses: [], isHostNetwork: false, ports: [] }
}

export function isSamePod(a: LocalPod, b: LocalPod): boolean {
  return a.pod === b.pod && a.uid === b.uid && a.isUnknown === b.isUnknown && a.addresses === b.addresses
}
