import { type Cidr, isAddress } from '../../ipam/address.ts'
import { CidrIndex } from '../../ipam/cidr-index.ts'
import type { ClusterPod } from '../cluster/workloads.ts'

/**
 * Where pods can be: what is sent to an address of a node's pod CIDR goes to that node, and so it is a pod of that node
 * that has it. What a node writes of its pods the API server takes as it is: one that somebody has taken over must not
 * lend the labels of its pods to those of others.
 */
export class PodPlaces {
  readonly #nodeName: string
  /** By the name of the node. */
  readonly #podCidrs = new Map<string, readonly Cidr[]>()
  readonly #index = new CidrIndex()

  /** @param nodeName this one's: its CIDRs are for its own pods alone */
  constructor(nodeName: string) {
    this.#nodeName = nodeName
  }

  /** @returns whether the node's pods are elsewhere than before */
  take(node: string, podCidrs: readonly Cidr[]): boolean {
    const old = this.#podCidrs.get(node) ?? []
    if (old.length === podCidrs.length && old.every(({ text }, at) => text === podCidrs[at]?.text)) return false
    for (const cidr of old) this.#index.delete(node, cidr)
    for (const cidr of podCidrs) this.#index.add(node, cidr)
    if (podCidrs.length > 0) this.#podCidrs.set(node, podCidrs)
    else this.#podCidrs.delete(node)
    return true
  }

  /** Whatever others say, it is of a pod of this node. */
  isHere(address: string): boolean {
    return this.#holding(address).has(this.#nodeName)
  }

  /**
   * Of a pod that is not of this node: the node to whose pods an address belongs that the pod says it has.
   * @returns undefined: it may be the pod's own; as all may that are in no node's CIDRs
   */
  otherNode({ nodeName }: Pick<ClusterPod, 'nodeName'>, address: string): string | undefined {
    const holders = this.#holding(address)
    if (holders.has(this.#nodeName)) return this.#nodeName
    // A manifest in a folder may leave the node out.
    if (holders.size === 0 || nodeName === '' || holders.has(nodeName)) return undefined
    return [...holders].sort()[0]
  }

  #holding(address: string): ReadonlySet<string> {
    return isAddress(address) ? this.#index.holding(address) : NOBODY
  }
}

const NOBODY: ReadonlySet<string> = new Set()
