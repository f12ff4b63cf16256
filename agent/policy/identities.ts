import type { ClusterNode } from '../cluster/view.ts'
import { tunnelAddress } from '../cluster/view.ts'
import type { ClusterNamespace, ClusterPod } from '../cluster/workloads.ts'
import type { LocalPod, PolicyInput } from './input.ts'

/** A pod that has an address of its own, with what selectors ask for. */
export interface PodIdentity {
  /** `namespace/name` */
  readonly key: string
  readonly pod: ClusterPod
  readonly namespace: ClusterNamespace | undefined
}

/** Who has an address; nobody of these: it is of the world. */
export interface Identity {
  readonly address: string
  /** More than one while the API has an older one that is about to go; the one of this node first. */
  readonly pods: readonly PodIdentity[]
  /** What this node has wired there: one of the pods, one that is not known, or a container that no Kubernetes has. */
  readonly local: LocalPod | undefined
  readonly nodes: readonly ClusterNode[]
}

/** Who has which address, at one moment. Pods with the network of their node have none: they cannot be told from it. */
export class Identities {
  readonly #input: PolicyInput
  readonly #local = new Map<string, LocalPod>()
  /** The keys of pods. */
  readonly #pods = new Map<string, string[]>()
  readonly #nodes = new Map<string, ClusterNode[]>()

  constructor(input: PolicyInput) {
    this.#input = input
    const { workloads, localPods, nodes, nodeName } = input
    const wired = new Set<string>()
    for (const local of localPods.values()) {
      const key = knownPod(local, input)?.key
      if (key !== undefined) wired.add(key)
      for (const address of local.addresses) {
        this.#local.set(address, local)
        if (key !== undefined) append(this.#pods, address, key)
      }
    }
    // Of its own pods a node knows better than the API which addresses they have, and whether they have any.
    for (const [key, { isHostNetwork, nodeName: place, addresses }] of workloads.pods)
      if (!isHostNetwork && place !== nodeName && !wired.has(key))
        for (const address of addresses) append(this.#pods, address, key)
    for (const node of nodes.values()) for (const address of addressesOfNode(node)) append(this.#nodes, address, node)
  }

  /** @param address as the kernel writes it */
  at(address: string): Identity {
    return {
      address,
      pods: (this.#pods.get(address) ?? []).flatMap((key) => this.#podOf(key) ?? []),
      local: this.#local.get(address),
      nodes: this.#nodes.get(address) ?? [],
    }
  }

  #podOf(key: string): PodIdentity | undefined {
    return podIdentity(key, this.#input)
  }
}

/** The pod that a link is of. @returns undefined for a container, and where it is not known what the pod is */
export function knownPod({ pod: key, uid, isUnknown }: LocalPod, input: Pick<PolicyInput, 'workloads'>) {
  if (key === undefined || isUnknown) return undefined
  const identity = podIdentity(key, input)
  const isAnother = uid !== undefined && identity?.pod.uid !== uid
  return isAnother || identity?.pod.isHostNetwork ? undefined : identity
}

/** All addresses by which others may see a node, those of its tunnels among them. */
export function addressesOfNode(node: ClusterNode): string[] {
  return [...new Set([...namedAddresses(node), ...node.podCidrs.map(tunnelAddress)])]
}

/** Those that a CIDR in a policy may be written for. */
export function namedAddresses({ addresses, otherAddresses = [] }: ClusterNode): readonly string[] {
  return [...addresses, ...otherAddresses]
}

function podIdentity(key: string, { workloads }: Pick<PolicyInput, 'workloads'>): PodIdentity | undefined {
  const pod = workloads.pods.get(key)
  return pod && { key, pod, namespace: workloads.namespaces.get(pod.namespace) }
}

function append<T>(lists: Map<string, T[]>, address: string, entry: T): void {
  const list = lists.get(address)
  if (list) list.push(entry)
  else lists.set(address, [entry])
}
