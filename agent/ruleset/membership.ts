import { isAddress } from '../../ipam/address.ts'
import type { ClusterNode } from '../cluster/view.ts'
import type { ClusterNamespace, ClusterPod } from '../cluster/workloads.ts'
import { Members, type PodIdentity } from './members.ts'
import type { SetUse } from './selection.ts'
import { TunnelEnds } from './tunnel-ends.ts'

/**
 * All pods and nodes of the cluster, and of each selection that is in use on this node, who is selected. A pod that
 * changes is compared only with selections that mean its namespace.
 */
export class Membership {
  readonly #pods = new Map<string, PodIdentity>()
  readonly #podsByNamespace = new Map<string, Set<string>>()
  readonly #namespaces = new Map<string, ClusterNamespace>()
  readonly #nodes = new Map<string, ClusterNode>()
  readonly #used = new Map<string, { readonly members: Members; users: number }>()
  readonly tunnelEnds = new TunnelEnds()
  /** Those that mean a namespace, for namespaces that have pods. */
  readonly #meaning = new Map<string, Set<Members>>()

  pod(key: string): PodIdentity | undefined {
    return this.#pods.get(key)
  }

  podKeys(): Iterable<string> {
    return this.#pods.keys()
  }

  namespace(name: string): ClusterNamespace | undefined {
    return this.#namespaces.get(name)
  }

  namespaceNames(): Iterable<string> {
    return this.#namespaces.keys()
  }

  nodeNames(): Iterable<string> {
    return this.#nodes.keys()
  }

  /** @param given its addresses, whatever the pod says itself @returns whether it is another one than before */
  takePod(key: string, pod: ClusterPod | undefined, given: readonly string[]): boolean {
    const old = this.#pods.get(key)
    const addresses = given.filter(isAddress)
    if (old?.pod === pod && (!old || old.addresses.join() === addresses.join())) return false
    if (old) {
      for (const members of this.#meaningOf(old.pod.namespace)) members.deletePod(old)
      this.#pods.delete(key)
      const neighbours = this.#podsByNamespace.get(old.pod.namespace)
      neighbours?.delete(key)
      if (neighbours?.size === 0) {
        this.#podsByNamespace.delete(old.pod.namespace)
        this.#meaning.delete(old.pod.namespace)
      }
    }
    if (pod) {
      const identity = { pod, addresses }
      this.#pods.set(key, identity)
      this.#podsByNamespace.set(pod.namespace, (this.#podsByNamespace.get(pod.namespace) ?? new Set()).add(key))
      for (const members of this.#meaningOf(pod.namespace)) members.addPod(identity)
    }
    return true
  }

  /** @returns whether it is another one than before */
  takeNamespace(name: string, namespace: ClusterNamespace | undefined): boolean {
    if (this.#namespaces.get(name) === namespace) return false
    if (namespace) this.#namespaces.set(name, namespace)
    else this.#namespaces.delete(name)
    const meaning = this.#meaning.get(name)
    if (!meaning) return true
    for (const { members } of this.#used.values()) {
      const isMeant = members.meansNamespace(name, namespace)
      if (isMeant === meaning.has(members)) continue
      if (isMeant) meaning.add(members)
      else meaning.delete(members)
      for (const identity of this.#podsOf(name))
        if (isMeant) members.addPod(identity)
        else members.deletePod(identity)
    }
    return true
  }

  takeNode(name: string, node: ClusterNode | undefined): void {
    const old = this.#nodes.get(name)
    if (old === node) return
    const taken = node && withAddresses(node)
    this.tunnelEnds.take(name, taken)
    for (const { members } of this.#used.values()) {
      if (!members.isOfNodes) continue
      if (old) members.deleteNode(old)
      if (taken) members.addNode(taken)
    }
    if (taken) this.#nodes.set(name, taken)
    else this.#nodes.delete(name)
  }

  acquire({ key, selection }: SetUse): Members {
    const used = this.#used.get(key)
    if (used) {
      used.users++
      return used.members
    }
    const members = new Members(selection)
    this.#used.set(key, { members, users: 1 })
    for (const name of this.#namespacesOf(members)) {
      this.#meaning.get(name)?.add(members)
      for (const identity of this.#podsOf(name)) members.addPod(identity)
    }
    if (members.isOfNodes) for (const node of this.#nodes.values()) members.addNode(node)
    return members
  }

  release({ key }: SetUse): void {
    const used = this.#used.get(key)
    if (!used || --used.users > 0) return
    this.#used.delete(key)
    for (const name of this.#namespacesOf(used.members)) this.#meaning.get(name)?.delete(used.members)
  }

  /** Those with pods that are meant. */
  #namespacesOf(members: Members): string[] {
    if (!members.isOfPods) return []
    const { namespace } = members
    if (namespace !== undefined) return this.#podsByNamespace.has(namespace) ? [namespace] : []
    return [...this.#podsByNamespace.keys()].filter((name) => members.meansNamespace(name, this.#namespaces.get(name)))
  }

  #podsOf(namespace: string): PodIdentity[] {
    return [...(this.#podsByNamespace.get(namespace) ?? [])].flatMap((key) => this.#pods.get(key) ?? [])
  }

  #meaningOf(name: string): Set<Members> {
    let meaning = this.#meaning.get(name)
    if (!meaning) {
      const namespace = this.#namespaces.get(name)
      const all = Array.from(this.#used.values(), ({ members }) => members)
      meaning = new Set(all.filter((members) => members.meansNamespace(name, namespace)))
      this.#meaning.set(name, meaning)
    }
    return meaning
  }
}

/** What is no address would be refused by nft, and all the rest with it. */
function withAddresses(node: ClusterNode): ClusterNode {
  const { addresses, otherAddresses = [] } = node
  if ([...addresses, ...otherAddresses].every(isAddress)) return node
  return { ...node, addresses: addresses.filter(isAddress), otherAddresses: otherAddresses.filter(isAddress) }
}
