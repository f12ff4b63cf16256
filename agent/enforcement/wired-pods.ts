import type { Lease, Leases } from '../../ipam/leases.ts'
import { LayeredMap } from '../cluster/layered-map.ts'
import type { ChangedWorkloads, Workloads } from '../cluster/workloads.ts'
import type { LocalPod } from '../policy/input.ts'
import { barePod, isSamePod, type Knowledge, linkOf, localPod, withBarePods } from './local-pods.ts'

/** By link, what was before; undefined: there was nothing. */
export type Before = ReadonlyMap<string, LocalPod | undefined>

/**
 * The pods that this node has wired, as the kernel has them, or soon will. One that comes or goes costs no look at the
 * others: the node may have hundreds, and they come by hundreds when it starts.
 */
export class WiredPods {
  readonly #leases: Leases
  #all = LayeredMap.empty<string, LocalPod>()
  /** Those that have come or gone since; undefined: any may have, or may be known as another. */
  #noted: Set<Lease> | undefined
  /** How many have the pod's name; of those that are known. */
  readonly #names = new Map<string, number>()
  #unknown = 0
  /** Workloads, and the same with the pods that only this node knows. */
  #told: { readonly workloads: Workloads; readonly pods: LayeredMap<string, LocalPod>; result: Workloads } | undefined

  constructor(leases: Leases) {
    this.#leases = leases
  }

  /** By link; it never changes. */
  get all(): ReadonlyMap<string, LocalPod> {
    return this.#all
  }

  /** @param lease one that has come or gone; undefined: all are to be looked at */
  note(lease?: Lease): void {
    if (lease) this.#noted?.add(lease)
    else this.#noted = undefined
  }

  /** Of most that changes in a cluster nothing is on this node. @returns whether one may be known as another now */
  isConcernedBy({ pods, namespaces }: Pick<ChangedWorkloads, 'pods' | 'namespaces'>): boolean {
    if (this.#unknown > 0 || namespaces.size > 0) return true
    for (const name of pods) if (this.#names.has(name)) return true
    return false
  }

  /** Somebody who has gone had one of these addresses, and it is not yet seen to. */
  isLeaving(addresses: readonly string[]): boolean {
    const gone = [...(this.#noted ?? [])].filter((lease) => this.#current(lease) !== lease)
    return gone.some((lease) => lease.addresses.some((address) => addresses.includes(address)))
  }

  /** What has changed since this was asked last. */
  update(knowledge: Knowledge): Before {
    const noted = this.#noted
    this.#noted = new Set()
    const after = noted ? this.#pods(noted, knowledge) : this.#everything(knowledge)
    const changed = [...after].filter(([link, pod]) => this.#all.get(link) !== pod)
    if (changed.length === 0) return new Map()
    const before = new Map(changed.map(([link]) => [link, this.#all.get(link)]))
    this.#all = this.#all.with(changed)
    for (const pod of before.values()) this.#count(pod, -1)
    for (const [, pod] of changed) this.#count(pod, 1)
    this.#tell(changed, before)
    return before
  }

  /** None of the last change is in the kernel, as far as one knows. @param all as it was before */
  revert(all: ReadonlyMap<string, LocalPod>): void {
    this.#all = LayeredMap.empty<string, LocalPod>().with(all)
    this.#names.clear()
    this.#unknown = 0
    for (const pod of all.values()) this.#count(pod, 1)
    this.#noted = undefined
  }

  /** With the pods of this node that a complete source does not tell of: see withBarePods. */
  workloadsWith(workloads: Workloads): Workloads {
    if (this.#told?.workloads !== workloads || this.#told.pods !== this.#all)
      this.#told = { workloads, pods: this.#all, result: withBarePods(workloads, this.#all.values()) }
    return this.#told.result
  }

  /** The workloads that were asked for last follow, where few pods have changed. */
  #tell(changed: readonly (readonly [string, LocalPod | undefined])[], before: Before): void {
    if (!this.#told) return
    const { workloads, result } = this.#told
    const names = new Set([...before.values(), ...changed.map(([, pod]) => pod)].flatMap((one) => one?.pod ?? []))
    const bare = [...names].filter((name) => !workloads.pods.has(name))
    const pods = LayeredMap.over(result.pods).with(
      bare.map((name) => [name, this.#names.has(name) ? (result.pods.get(name) ?? barePod(name)) : undefined] as const),
    )
    this.#told = { workloads, pods: this.#all, result: { ...workloads, pods } }
  }

  #pods(leases: Iterable<Lease>, knowledge: Knowledge): Map<string, LocalPod | undefined> {
    const pods = new Map<string, LocalPod | undefined>()
    for (const lease of leases) {
      const current = this.#current(lease)
      if (!pods.has(linkOf(lease).link)) pods.set(linkOf(lease).link, undefined)
      if (current) pods.set(linkOf(current).link, this.#pod(current, knowledge))
    }
    return pods
  }

  #everything(knowledge: Knowledge): Map<string, LocalPod | undefined> {
    const gone = Array.from(this.#all.keys(), (link) => [link, undefined] as const)
    const pods = new Map<string, LocalPod | undefined>(gone)
    for (const lease of this.#leases.list()) pods.set(linkOf(lease).link, this.#pod(lease, knowledge))
    return pods
  }

  /** The same object where it is the same pod. */
  #pod(lease: Lease, knowledge: Knowledge): LocalPod {
    const pod = localPod(lease, knowledge)
    const before = this.#all.get(pod.link)
    return before && isSamePod(before, pod) ? before : pod
  }

  #current({ containerId, ifname }: Lease): Lease | undefined {
    return this.#leases.get(containerId, ifname)
  }

  #count(pod: LocalPod | undefined, more: 1 | -1): void {
    if (pod?.isUnknown) this.#unknown += more
    if (pod?.pod === undefined || pod.isUnknown) return
    const count = (this.#names.get(pod.pod) ?? 0) + more
    if (count > 0) this.#names.set(pod.pod, count)
    else this.#names.delete(pod.pod)
  }
}
