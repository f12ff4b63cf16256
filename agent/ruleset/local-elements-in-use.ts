import type { LocalPod } from '../policy/input.ts'
import { type LocalElements, localElements, type PodEntries } from './local-elements.ts'

/** The elements of all pods of this node; where some pods change, only theirs are worked out anew. */
export class LocalElementsInUse {
  readonly #pods = new Map<string, LocalPod>()
  /** By address, the links that claim it: as a rule one. */
  readonly #claims = new Map<string, Set<string>>()
  /** By link. */
  readonly #elements = new Map<string, LocalElements>()
  /** Links of pods that are others than when it was asked last, or that claim an address of such a pod. */
  #stale = new Set<string>()

  /** @param pod undefined: it is gone */
  take(link: string, pod: LocalPod | undefined): void {
    const old = this.#pods.get(link)
    for (const address of old?.addresses ?? []) {
      const claims = this.#claims.get(address)
      claims?.delete(link)
      if (claims?.size === 0) this.#claims.delete(address)
      for (const other of claims ?? []) this.#stale.add(other)
    }
    for (const address of pod?.addresses ?? []) {
      const claims = this.#claims.get(address) ?? new Set()
      for (const other of claims) this.#stale.add(other)
      this.#claims.set(address, claims.add(link))
    }
    if (pod) this.#pods.set(link, pod)
    else this.#pods.delete(link)
    this.#stale.add(link)
  }

  /**
   * What was and what is, of pods that have changed or whose chains may have.
   * @param ruled links of the latter
   * @param entriesOf what decides about the pod of a link
   */
  settle(
    ruled: Iterable<string>,
    entriesOf: (link: string) => PodEntries | undefined,
  ): { before: LocalElements; after: LocalElements } {
    const links = [...new Set([...this.#stale, ...ruled])]
    this.#stale = new Set()
    const before = merged(links.flatMap((link) => this.#elements.get(link) ?? []))
    for (const link of links) {
      const pod = this.#pods.get(link)
      if (pod) this.#elements.set(link, localElements([this.#owning(pod)], entriesOf))
      else this.#elements.delete(link)
    }
    return { before, after: merged(links.flatMap((link) => this.#elements.get(link) ?? [])) }
  }

  get all(): LocalElements {
    return merged([...this.#elements.values()])
  }

  /** Each address is one pod's: of two that claim it, the first by its link. */
  #owning(pod: LocalPod): LocalPod {
    const isOwn = (address: string) => [...(this.#claims.get(address) ?? [])].every((other) => pod.link <= other)
    return pod.addresses.every(isOwn) ? pod : { ...pod, addresses: pod.addresses.filter(isOwn) }
  }
}

/** No two have an element in common. */
function merged(all: readonly LocalElements[]): LocalElements {
  const names = Array.from(localElements([], () => undefined).keys())
  return new Map(names.map((name) => [name, new Map(all.flatMap((elements) => [...(elements.get(name) ?? [])]))]))
}
