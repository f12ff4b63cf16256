import type { ClusterPod } from '../cluster/workloads.ts'
import type { LocalPod } from '../policy/input.ts'

/** The pods of this node by their links, and which pod of the cluster each of them is. */
export class LocalPods {
  readonly #nodeName: string
  readonly #pods = new Map<string, LocalPod>()
  /** More than one where a pod has more networks, or where one of its name is about to go. */
  readonly #linksByPod = new Map<string, Set<string>>()

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
    if (pod?.pod !== undefined) this.#linksByPod.set(pod.pod, (this.#linksByPod.get(pod.pod) ?? new Set()).add(link))
    return [old?.pod, pod?.pod].filter((key) => key !== undefined)
  }

  /** Of a pod of this node, what its agent gave it; none once that is taken back, whatever the cluster still says. */
  addressesOf(key: string, pod: ClusterPod): readonly string[] {
    if (pod.isHostNetwork) return []
    const locals = [...this.linksOf(key)].flatMap((link) => this.#pods.get(link) ?? [])
    const own = locals.filter((local) => isKnownAs(local, pod))
    if (own.length > 0) return own.flatMap(({ addresses }) => addresses)
    return pod.nodeName === this.#nodeName ? [] : pod.addresses
  }
}

/** Not another one of the same name, nor one that has the network of its node. */
export function isKnownAs({ isUnknown, uid }: LocalPod, pod: ClusterPod): boolean {
  return !isUnknown && !pod.isHostNetwork && (uid === undefined || uid === pod.uid)
}
