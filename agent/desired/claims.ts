import { type Cidr, contains, overlaps } from '../../ipam/address.ts'
import { CidrIndex } from '../../ipam/cidr-index.ts'
import type { ClusterNode } from '../cluster/view.ts'
import { AddressIndex } from './address-index.ts'
import { takenBy } from './peer.ts'
import { type RefusedNetworks, refusedNetwork } from './refused-network.ts'
import { broadcastNetwork, type WayFacts } from './way.ts'

/**
 * What the nodes claim for themselves (pod CIDRs, addresses, WireGuard keys), and who gets it where several do. Found
 * without looking at all nodes, so that a change of one costs the same in a cluster of any size.
 */
export class Claims {
  readonly #facts: WayFacts
  readonly #networks: RefusedNetworks
  readonly #nodes = new Map<string, ClusterNode>()
  readonly #index = new CidrIndex()
  /** Where the nodes are: no pods can be there. */
  readonly #addresses = new AddressIndex()
  /** Who has announced a WireGuard key: more than one where a memory card was copied. */
  readonly #keyHolders = new Map<string, Set<string>>()

  constructor(facts: WayFacts, networks: RefusedNetworks) {
    this.#facts = facts
    this.#networks = networks
  }

  /** All that claim anything, by name. */
  get nodes(): ReadonlyMap<string, ClusterNode> {
    return this.#nodes
  }

  /**
   * Takes one node as it is now.
   * @param concerned gets the names of all whose turn it is: itself, and all whose CIDRs overlapped or overlap its or
   * hold its addresses, or who have its key
   */
  take(name: string, node: ClusterNode | undefined, concerned: Set<string>): void {
    const old = this.#nodes.get(name)
    if (old === node) return
    concerned.add(name)
    for (const cidr of old?.podCidrs ?? []) {
      this.#index.delete(name, cidr)
      for (const owner of this.#index.overlapping(cidr)) concerned.add(owner)
    }
    const [oldKey, key] = [publicKeyOf(old), publicKeyOf(node)]
    this.#keyHolders.get(oldKey)?.delete(name)
    if (this.#keyHolders.get(oldKey)?.size === 0) this.#keyHolders.delete(oldKey)
    if (key) this.#keyHolders.set(key, (this.#keyHolders.get(key) ?? new Set()).add(name))
    for (const one of [oldKey, key]) for (const holder of this.#keyHolders.get(one) ?? []) concerned.add(holder)
    for (const address of old?.addresses ?? []) this.#addresses.delete(name, address)
    for (const address of node?.addresses ?? []) this.#addresses.add(name, address)
    for (const address of [...(old?.addresses ?? []), ...(node?.addresses ?? [])])
      for (const owner of this.#index.holding(address)) concerned.add(owner)
    if (!node) this.#nodes.delete(name)
    else {
      this.#nodes.set(name, node)
      for (const cidr of node.podCidrs) {
        for (const owner of this.#index.overlapping(cidr)) concerned.add(owner)
        this.#index.add(name, cidr)
      }
    }
  }

  /**
   * Why a peer gets nothing at all. Of two overlapping CIDRs the wider one does not count: it was meant for a cluster as
   * a rule, and would take the pods of many. Of two like ones it is that of the node which came later. This
   * node stands above. What nobody can have keeps nobody else from having it.
   */
  refusal(node: ClusterNode): string | undefined {
    const { self, uplinks } = this.#facts
    const shared = node.addresses.find((address) => self.addresses.includes(address))
    if (shared) return `${node.name} has the address ${shared} of ${self.name}; delete the one that is gone`
    for (const address of node.addresses) {
      const network = broadcastNetwork(address, uplinks)
      if (network)
        return `${node.name} has the address ${address}, which is that of all on ${network.cidr.text} (broadcast); give it its own`
    }
    for (const cidr of node.podCidrs) {
      const bad = refusedNetwork(cidr, this.#networks)
      if (bad) return `the pod CIDR ${cidr.text} of ${node.name} ${bad}`
      if (takenBy(cidr, this.#facts)) continue // by this node or its networks: the other family is no less free
      const holds = this.heldBy(cidr)
      if (holds) return `the pod CIDR ${cidr.text} of ${node.name} holds ${holds}; give the pods others`
      const rival = this.#rival(node, cidr)
      if (rival) return `the pod CIDR ${cidr.text} of ${node.name} overlaps ${rival}; give one of them another`
    }
    return undefined
  }

  /** A route to these pods would take a node or a server from us, and with it the way to the pods, or what tells of them. */
  heldBy(cidr: Cidr): string | undefined {
    const { self, servers = [] } = this.#facts
    for (const [address, what] of servers) if (contains(cidr, address)) return `${address}, ${what}`
    const own = self.addresses.find((address) => contains(cidr, address))
    const found = own ? { owner: self.name, address: own } : this.#addresses.firstWithin(cidr)
    return found && `${found.address}, the address of ${found.owner}`
  }

  /** Who has this node's key, and goes before it: the first that came. */
  keyHolder(node: ClusterNode): string | undefined {
    const holders = this.#others(node, this.#keyHolders.get(publicKeyOf(node)) ?? [])
    return holders.find((holder) => this.#cameBefore(holder, node))
  }

  /** A CIDR that goes before this one, and whose it is. */
  #rival(node: ClusterNode, cidr: Cidr): string | undefined {
    for (const other of this.#others(node, this.#index.overlapping(cidr))) {
      const cidrs = this.#nodes.get(other)?.podCidrs ?? []
      if (cidrs.some((one) => refusedNetwork(one, this.#networks))) continue
      const goesBefore = ({ prefixLength }: Cidr) =>
        prefixLength === cidr.prefixLength ? this.#cameBefore(other, node) : prefixLength > cidr.prefixLength
      const theirs = cidrs.find((one) => overlaps(one, cidr) && goesBefore(one) && !takenBy(one, this.#facts))
      if (theirs) return `${theirs.text} of ${other}`
    }
    return undefined
  }

  /** Whoever joins takes nothing from those that are there; where nobody knows who that was, the first by name has it, on all nodes alike. */
  #cameBefore(other: string, { name, createdAt }: ClusterNode): boolean {
    const since = this.#nodes.get(other)?.createdAt
    return since === undefined || createdAt === undefined || since === createdAt ? other < name : since < createdAt
  }

  /** Neither this node nor the peer, by name. */
  #others({ name }: ClusterNode, owners: Iterable<string>): string[] {
    return [...owners].filter((owner) => owner !== name && owner !== this.#facts.self.name).sort()
  }
}

/** '' for none. */
function publicKeyOf(node: ClusterNode | undefined): string {
  return node?.announcement?.wireguard?.publicKey ?? ''
}
