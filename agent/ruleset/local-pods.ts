import type { ClusterPod } from '../cluster/workloads.ts'
import type { LocalPod } from '../policy/input.ts'

/** The pods of this node by their links, and which pod of the cluster each of them is. */
export class LocalPods {
  readonly #nodeName: string
  readonly #pods = new Map<string, LocalPod>()
  /** More than one where a pod has more networks, or where one of its name is about to go. */
  readonly #linksByPod = new Map<string, Set<string>>()
  /** How many have each address: of two, one is about to go. */
  readonly #holders = new Map<string, number>()

  constructor(nodeName: string) {
    this.#nodeName = nodeName
  }

  get(link: string): LocalPod | undefined {
    return this.#pods.get(link)
  }

  links(): Iterable<string> {
    return this.#pods.keys()
  }

  /** @param key `namespace/name` */
  linksOf(key: string): Iterable<string> {
    return this.#linksByPod.get(key) ?? []
  }

  [Symbol.iterator](): Iterator<[string, LocalPod]> {
    return this.#pods[Symbol.iterator]()
  }

  hasAddress(address: string): boolean {
    return this.#holders.has(address)
  }

  /** @param pod undefined: it is gone @returns the keys of pods that may have other addresses now; undefined: it is the same as before */
  take(link: string, pod: LocalPod | undefined): string[] | undefined {
    const old = this.#pods.get(link)
    if (old === pod) return undefined
    if (old?.pod !== undefined) {
      const links = this.#linksByPod.get(old.pod)
      links?.delete(link)
      if (links?.size === 0) this.#linksByPod.delete(old.pod)
    }
    if (pod) this.#pods.set(link, pod)
    else this.#pods.delete(link)
    for (const address of old?.addresses ?? []) this.#count(address, -1)
    for (const address of pod?.addresses ?? []) this.#count(address, 1)
    if (pod?.pod !== undefined) this.#linksByPod.set(pod.pod, (this.#linksByPod.get(pod.pod) ?? new Set()).add(link))
    return [old?.pod, pod?.pod].filter((key) => key !== undefined)
  }

  /**
   * What this node's agent gave the pod; none once that is taken back, whatever the cluster still says.
   * @returns undefined for a pod of another node
   */
  addressesOf(key: string, pod: ClusterPod): readonly string[] | undefined {
    if (pod.isHostNetwork) return []
    const locals = [...this.linksOf(key)].flatMap((link) => this.#pods.get(link) ?? [])
    const own = locals.filter((local) => isKnownAs(local, pod))
    if (own.length > 0) return own.flatMap(({ addresses }) => addresses)
    return pod.nodeName === this.#nodeName ? [] : undefined
  }

  #count(address: string, more: 1 | -1): void {
    const count = (this.#holders.get(address) ?? 0) + more
    if (count > 0) this.#holders.set(address, count)
    else this.#holders.delete(address)
  }
}

/** Not another one of the same name, nor one that has the network of its node. */
export function isKnownAs({ isUnknown, uid }: LocalPod, pod: ClusterPod): boolean {
  return !isUnknown && !pod.isHostNetwork && (uid === undefined || uid === pod.uid)
}
