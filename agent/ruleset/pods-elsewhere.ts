import type { ViewProblem } from '../cluster/problem.ts'
import type { ClusterNode } from '../cluster/view.ts'
import type { ClusterPod } from '../cluster/workloads.ts'
import { PodPlaces } from '../policy/pod-places.ts'

/** The pods of other nodes: which of the addresses that they say they have are theirs. */
export class PodsElsewhere {
  readonly #places: PodPlaces
  /** By the pod's `namespace/name`. */
  readonly #problems = new Map<string, ViewProblem>()
  /** undefined: not since one came or went. */
  #listed: readonly ViewProblem[] | undefined

  constructor(nodeName: string) {
    this.#places = new PodPlaces(nodeName)
  }

  /** @returns whether pods may have other addresses than before */
  takeNode(name: string, node: ClusterNode | undefined): boolean {
    return this.#places.take(name, node?.podCidrs ?? [])
  }

  /** Those that are theirs; of others it is told. @param isTaken a pod of this node has it */
  addressesOf(key: string, pod: ClusterPod, isTaken: (address: string) => boolean): readonly string[] {
    const own: string[] = []
    const reasons: string[] = []
    for (const address of pod.addresses) {
      const node = this.#places.otherNode(pod, address)
      if (node !== undefined) reasons.push(reasonOf(pod, address, `for pods of node ${node}`))
      else if (isTaken(address)) reasons.push(reasonOf(pod, address, 'that of a pod on this node'))
      else own.push(address)
    }
    this.#tell(key, reasons)
    return own
  }

  /** Of these pods those that may be known by one of the addresses, or not, when a pod of this node gets or loses it. */
  claiming(addresses: readonly string[], pods: ReadonlyMap<string, ClusterPod>): string[] {
    const disputable = addresses.filter((address) => !this.#places.isHere(address))
    if (disputable.length === 0) return []
    const claimants = [...pods].filter(([, pod]) => disputable.some((one) => pod.addresses.includes(one)))
    return claimants.map(([key]) => key)
  }

  /** It is gone, or of this node. */
  forget(key: string): void {
    this.#tell(key, [])
  }

  /** The same list while they are the same. */
  get problems(): readonly ViewProblem[] {
    this.#listed ??= [...this.#problems.values()]
    return this.#listed
  }

  #tell(key: string, reasons: readonly string[]): void {
    const reason = reasons.join('; ')
    if ((this.#problems.get(key)?.reason ?? '') === reason) return
    if (reason === '') this.#problems.delete(key)
    else this.#problems.set(key, { object: `Pod ${key}`, reason })
    this.#listed = undefined
  }
}

function reasonOf({ nodeName }: ClusterPod, address: string, owner: string): string {
  const place = nodeName === '' ? 'it has no spec.nodeName' : `it is on node ${nodeName}`
  return `status.podIPs: ${address} is ${owner}, and ${place}: it is nobody's peer by this address; delete the pod if it is gone, or correct its status`
}
