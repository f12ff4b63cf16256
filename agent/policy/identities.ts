import { type ClusterNode, tunnelAddress } from '../cluster/view.ts'
import type { ClusterNamespace, ClusterPod } from '../cluster/workloads.ts'
import type { LocalPod, PolicyInput } from './input.ts'
import { PodPlaces } from './pod-places.ts'

/** A pod with what selectors ask for. */
export interface KnownPod {
  /** `namespace/name` */
  readonly key: string
  readonly pod: ClusterPod
  readonly namespace: ClusterNamespace | undefined
}

/** Who has an address; nobody of these: it is of the world. */
export interface Identity {
  readonly address: string
  /** More than one while the API has an older one that is about to go; the one of this node first. */
  readonly pods: readonly KnownPod[]
  /** What this node has wired there: one of the pods, one that is not known, or a container that no Kubernetes has. */
  readonly local: LocalPod | undefined
  readonly nodes: readonly ClusterNode[]
  /** The name of the node that has it, by whatever address; undefined: none is known to. */
  readonly nodeName: string | undefined
}

/** Who has which address, at one moment. Pods with the network of their node have none: they cannot be told from it. */
export class Identities {
  readonly #input: PolicyInput
  readonly #local = new Map<string, LocalPod>()
  /** The keys of pods that have an address, or say so. */
  readonly #pods = new Map<string, string[]>()
  /** Of those, by address, the ones that have it; as far as somebody has asked. */
  readonly #holders = new Map<string, readonly string[]>()
  /** By the key of the pod. */
  readonly #addresses = new Map<string, string[]>()
  /** The keys of the pods of this node. */
  readonly #wired = new Set<string>()
  readonly #nodes = new Map<string, ClusterNode[]>()
  readonly #places: PodPlaces

  constructor(input: PolicyInput) {
    this.#input = input
    const { workloads, localPods, nodes, nodeName } = input
    this.#places = new PodPlaces(nodeName)
    for (const local of localPods.values()) {
      const key = knownPod(local, input)?.key
      if (key !== undefined) this.#wired.add(key)
      for (const address of local.addresses) {
        this.#local.set(address, local)
        if (key !== undefined) this.#append(key, address)
      }
    }
    // Of its own pods a node knows better than the API which addresses they have, and whether they have any.
    for (const [key, { isHostNetwork, nodeName: place, addresses }] of workloads.pods)
      if (!isHostNetwork && place !== nodeName && !this.#wired.has(key))
        for (const address of addresses) this.#append(key, address)
    for (const node of nodes.values()) {
      this.#places.take(node.name, node.podCidrs)
      for (const address of addressesOfNode(node)) append(this.#nodes, address, node)
    }
  }

  /** @param address as the kernel writes it */
  at(address: string): Identity {
    const nodes = this.#nodes.get(address) ?? []
    const isOwn = this.#input.ownAddresses?.has(address)
    return {
      address,
      pods: this.#holdersOf(address).flatMap((key) => withNamespace(key, this.#input) ?? []),
      local: this.#local.get(address),
      nodes,
      nodeName: isOwn ? this.#input.nodeName : nodes[0]?.name,
    }
  }

  /** Those that a pod is known by; none where it has none of its own. @param key `namespace/name` */
  addressesOf(key: string): readonly string[] {
    return (this.#addresses.get(key) ?? []).filter((address) => this.#has(key, address))
  }

  #holdersOf(address: string): readonly string[] {
    let holders = this.#holders.get(address)
    if (!holders) {
      holders = (this.#pods.get(address) ?? []).filter((key) => this.#has(key, address))
      this.#holders.set(address, holders)
    }
    return holders
  }

  /** A pod of this node has what this node gave it, and nobody else has that. */
  #has(key: string, address: string): boolean {
    if (this.#wired.has(key)) return true
    const pod = this.#input.workloads.pods.get(key)
    return pod !== undefined && !this.#local.has(address) && this.#places.otherNode(pod, address) === undefined
  }

  #append(key: string, address: string): void {
    append(this.#pods, address, key)
    append(this.#addresses, key, address)
  }
}

/**
 * The pod that a link is of: not another one of the same name, nor one that has the network of its node.
 * @returns undefined for a container, and where nothing is known of the pod (yet): nobody's peer, then
 */
export function knownPod(
  { pod: key, uid, isUnknown }: LocalPod,
  input: Pick<PolicyInput, 'workloads'>,
): KnownPod | undefined {
  const known = key === undefined || isUnknown ? undefined : withNamespace(key, input)
  if (!known || known.pod.isHostNetwork) return undefined
  return uid === undefined || uid === known.pod.uid ? known : undefined
}

/** All addresses by which others may see a node, those of its tunnels among them. */
export function addressesOfNode(node: ClusterNode): string[] {
  return [...new Set([...namedAddresses(node), ...node.podCidrs.map(tunnelAddress)])]
}

/** Those that a CIDR in a policy may be written for. */
export function namedAddresses({ addresses, otherAddresses = [] }: ClusterNode): readonly string[] {
  return [...addresses, ...otherAddresses]
}

function withNamespace(key: string, { workloads }: Pick<PolicyInput, 'workloads'>): KnownPod | undefined {
  const pod = workloads.pods.get(key)
  return pod && { key, pod, namespace: workloads.namespaces.get(pod.namespace) }
}

function append<T>(lists: Map<string, T[]>, address: string, entry: T): void {
  const list = lists.get(address)
  if (list) list.push(entry)
  else lists.set(address, [entry])
}
