import { ADDRESS_BITS, type Cidr, contains, familyOf, numberOf, overlaps } from '../../ipam/address.ts'
import type { ClusterNode, ClusterView } from '../cluster/view.ts'
import { AddressIndex } from './address-index.ts'
import { CidrIndex } from './cidr-index.ts'
import { desiredMasquerade, type MasqueradeTable, masqueradeElement } from './masquerade.ts'
import { desiredNotrack } from './notrack.ts'
import { joined, type LinkNeighbour, NO_OBJECTS, type NodeObjects } from './objects.ts'
import { type DesiredPeer, desiredPeer, type PeerSettings, takenBy } from './peer.ts'
import { tunnelAddresses, tunnelLink } from './tunnel.ts'
import { isOnLinkNetwork, type Tunnel, type Uplink, type WayFacts } from './way.ts'

export type NetworkSettings = PeerSettings & RefusedNetworks

/** Networks that no node's pods may have addresses of. */
export interface RefusedNetworks {
  readonly serviceCidrs: readonly Cidr[]
  /** The pods of all nodes together; empty: not told. */
  readonly clusterCidrs: readonly Cidr[]
}

/** What this node knows of itself. */
export interface LocalFacts extends WayFacts {
  /** By the link's name, in bytes. */
  readonly linkMtus: ReadonlyMap<string, number>
  /** All addresses that the node has. */
  readonly addresses: ReadonlySet<string>
}

/** What a step of the cluster takes away from what should be there, and what it adds; in both: it stays as it is. */
export interface Change {
  readonly before: NodeObjects
  readonly after: NodeObjects
}

/** Ethernet's; taken while no link leads to other nodes. */
const FALLBACK_MTU_BYTES = 1500
/** RFC 8200, section 5. */
const MTU_BYTES_MIN_IPV6 = 1280
const TUNNELS = ['vxlan', 'ipip', 'gre', 'wireguard'] as const

/**
 * The kernel objects that should exist: a function of the view and of this node, remembered peer by peer, so that a
 * change of one node costs the same in a cluster of any size. The way by which a view was reached leaves no trace: a
 * new one that is given the whole view at once says the same.
 */
export class DesiredNetwork {
  readonly #facts: LocalFacts
  readonly #settings: NetworkSettings
  readonly #nodes = new Map<string, ClusterNode>()
  readonly #peers = new Map<string, DesiredPeer>()
  readonly #index = new CidrIndex()
  /** Where the nodes are: no pods can be there. */
  readonly #addresses = new AddressIndex()
  /** Who has announced a WireGuard key: more than one where a memory card was copied. */
  readonly #keyHolders = new Map<string, Set<string>>()
  readonly #tunnels = new Tally<string>()
  readonly #uplinks = new Tally<string>()
  /** Each as one text: over GRE, peers that have one address have one neighbour, which goes with the last of them. */
  readonly #neighbours = new Tally<string>()
  /** Family and length of the prefixes of pods, as text. */
  readonly #prefixes = new Tally<string>()
  /** Of the prefixes at the time. */
  #masquerade: { readonly prefixes: string; readonly tables: readonly MasqueradeTable[] } | undefined
  #own: NodeObjects = NO_OBJECTS

  constructor(facts: LocalFacts, settings: NetworkSettings) {
    this.#facts = facts
    this.#settings = settings
  }

  /** @param changed the names of the nodes that may have; all of them by default */
  update(
    view: ClusterView,
    changed: Iterable<string> = new Set([...view.nodes.keys(), ...this.#nodes.keys()]),
  ): Change {
    const concerned = new Set<string>()
    for (const name of changed) this.#take(name, view.nodes.get(name), concerned)
    const before: NodeObjects[] = []
    const after: NodeObjects[] = []
    for (const name of concerned) {
      const old = this.#forget(name)
      if (old) before.push(old.objects)
      const node = this.#nodes.get(name)
      if (!node || name === this.#facts.self.name) continue
      const peer = this.#peer(node)
      this.#remember(name, peer)
      after.push(peer.objects)
    }
    const shared = before.flatMap(({ neighbours }) => neighbours.filter((one) => this.#neighbours.has(textOf(one))))
    after.push({ ...NO_OBJECTS, neighbours: shared })
    before.unshift(this.#own)
    this.#own = this.#ownObjects()
    after.unshift(this.#own)
    return { before: joined(before), after: joined(after) }
  }

  get facts(): LocalFacts {
    return this.#facts
  }

  /** All of it. */
  get objects(): NodeObjects {
    return joined([this.#own, ...Array.from(this.#peers.values(), ({ objects }) => objects)])
  }

  get self(): ClusterNode {
    return this.#facts.self
  }

  /** For pods: the smallest uplink that traffic between nodes takes, less what the tunnels in use take of it. */
  get mtuBytes(): number {
    return this.uplinkMtuBytes - Math.max(0, ...TUNNELS.map((tunnel) => this.#overheadBytes(tunnel)))
  }

  get uplinkMtuBytes(): number {
    const mtus = this.uplinks.flatMap((link) => this.#facts.linkMtus.get(link) ?? [])
    return mtus.length > 0 ? Math.min(...mtus) : FALLBACK_MTU_BYTES
  }

  /** The links that lead to the other nodes. */
  get uplinks(): readonly string[] {
    return this.#uplinks.keys()
  }

  get tunnels(): readonly Tunnel[] {
    return TUNNELS.filter((tunnel) => this.#overheadBytes(tunnel) > 0)
  }

  overheadBytes(tunnel: Tunnel): number {
    return this.#overheadBytes(tunnel)
  }

  /** By the peer's name. */
  get peers(): ReadonlyMap<string, DesiredPeer> {
    return this.#peers
  }

  /** What a person should know, in words; empty is good. */
  get problems(): string[] {
    return [...new Set([...this.#aboutSelf(), ...[...this.#peers.values()].flatMap(({ problems }) => problems)])]
  }

  /** Takes one node as it is now, and tells whose turn it is: itself, and all whose CIDRs overlapped or overlap its or hold its addresses, or who have its key. */
  #take(name: string, node: ClusterNode | undefined, concerned: Set<string>): void {
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
      for (const owner of this.#index.overlapping(hostCidr(address))) concerned.add(owner)
    if (!node) this.#nodes.delete(name)
    else {
      this.#nodes.set(name, node)
      for (const cidr of node.podCidrs) {
        for (const owner of this.#index.overlapping(cidr)) concerned.add(owner)
        this.#index.add(name, cidr)
      }
    }
  }

  #peer(node: ClusterNode): DesiredPeer {
    const refusal = this.#refusal(node)
    if (refusal === undefined) return desiredPeer(node, this.#facts, this.#settings, this.#keyHolder(node))
    return { objects: NO_OBJECTS, ways: [], tunnels: new Map(), uplinks: [], podCidrs: [], problems: [refusal] }
  }

  /**
   * Of two nodes with overlapping CIDRs, the one that comes second by name gets nothing; this node stands above. What
   * nobody can have keeps nobody else from having it.
   */
  #refusal(node: ClusterNode): string | undefined {
    const { self } = this.#facts
    const shared = node.addresses.find((address) => self.addresses.includes(address))
    if (shared) return `${node.name} has the address ${shared} of ${self.name}; delete the one that is gone`
    for (const cidr of node.podCidrs) {
      const holds = takenBy(cidr, this.#facts) === undefined && this.#nodeWithin(cidr)
      if (holds) return `the pod CIDR ${cidr.text} of ${node.name} holds ${holds}; give the pods others`
      const bad = refusedNetwork(cidr, this.#settings)
      if (bad) return `the pod CIDR ${cidr.text} of ${node.name} ${bad}`
      for (const first of this.#before(node, this.#index.overlapping(cidr))) {
        const cidrs = this.#nodes.get(first)?.podCidrs ?? []
        const theirs = cidrs.find((one) => overlaps(one, cidr) && takenBy(one, this.#facts) === undefined)
        if (theirs && !cidrs.some((one) => refusedNetwork(one, this.#settings)))
          return `the pod CIDR ${cidr.text} of ${node.name} overlaps ${theirs.text} of ${first}; give one of them another`
      }
    }
    return undefined
  }

  /** A route to these pods would take a node from us, and with it the way to the pods. */
  #nodeWithin(cidr: Cidr): string | undefined {
    const { self } = this.#facts
    const own = self.addresses.find((address) => contains(cidr, address))
    const found = own ? { owner: self.name, address: own } : this.#addresses.firstWithin(cidr)
    return found && `${found.address}, the address of ${found.owner}`
  }

  /** Who has this node's key, and goes before it. */
  #keyHolder(node: ClusterNode): string | undefined {
    return this.#before(node, this.#keyHolders.get(publicKeyOf(node)) ?? [])[0]
  }

  /** Those of several that come before a node by name; this one is not among them. */
  #before({ name }: ClusterNode, owners: Iterable<string>): string[] {
    return [...owners].filter((owner) => owner < name && owner !== this.#facts.self.name).sort()
  }

  #remember(name: string, peer: DesiredPeer): void {
    this.#peers.set(name, peer)
    for (const [tunnel, bytes] of peer.tunnels) this.#tunnels.add(`${tunnel} ${bytes}`)
    for (const link of peer.uplinks) this.#uplinks.add(link)
    for (const cidr of peer.podCidrs) this.#prefixes.add(prefixOf(cidr))
    for (const neighbour of peer.objects.neighbours) this.#neighbours.add(textOf(neighbour))
  }

  #forget(name: string): DesiredPeer | undefined {
    const peer = this.#peers.get(name)
    this.#peers.delete(name)
    for (const [tunnel, bytes] of peer?.tunnels ?? []) this.#tunnels.delete(`${tunnel} ${bytes}`)
    for (const link of peer?.uplinks ?? []) this.#uplinks.delete(link)
    for (const cidr of peer?.podCidrs ?? []) this.#prefixes.delete(prefixOf(cidr))
    for (const neighbour of peer?.objects.neighbours ?? []) this.#neighbours.delete(textOf(neighbour))
    return peer
  }

  /** Of all peers behind this kind of tunnel the most; 0: there is none. */
  #overheadBytes(tunnel: Tunnel): number {
    const used = this.#tunnels.keys().filter((key) => key.startsWith(`${tunnel} `))
    return Math.max(0, ...used.map((key) => Number(key.split(' ')[1])))
  }

  /** This node's ends of the tunnels, and an end for packets to addresses of ours that no pod has: else they go out by the default route and come back. */
  #ownObjects(): NodeObjects {
    const { self } = this.#facts
    const tunnels = this.tunnels
    const links = tunnels.flatMap((tunnel) => {
      const mtuBytes = this.uplinkMtuBytes - this.#overheadBytes(tunnel)
      return tunnelLink(tunnel, mtuBytes, this.#facts, this.#settings) ?? []
    })
    return {
      ...NO_OBJECTS,
      links,
      addresses: tunnels.flatMap((tunnel) => tunnelAddresses(tunnel, self.podCidrs)),
      routes: self.podCidrs.map(({ text }) => ({ destination: text })),
      masqueradeTables: this.#masqueradeTables(),
      masqueradeElements: this.#settings.masquerade.isOn ? self.podCidrs.map(masqueradeElement) : [],
      notrackTables: desiredNotrack(links),
    }
  }

  /** Looks at all nodes only when a prefix of a new length comes or the last of one goes: the table has a set for each. */
  #masqueradeTables(): readonly MasqueradeTable[] {
    const { masquerade, clusterCidrs } = this.#settings
    const prefixes = this.#prefixes.keys().join()
    if (this.#masquerade?.prefixes !== prefixes) {
      const podCidrs = [...this.#peers.values()].flatMap((peer) => peer.podCidrs)
      const { tables } = desiredMasquerade(masquerade, this.#facts.self.podCidrs, podCidrs, clusterCidrs)
      this.#masquerade = { prefixes, tables }
    }
    return this.#masquerade.tables
  }

  /** What the others are told of this node must be what it does, and what it has must be its own. */
  #aboutSelf(): string[] {
    const { self, uplinks, addresses } = this.#facts
    const told = this.#nodes.get(self.name)
    const problems: string[] = []
    if (!told && this.#nodes.size > 0)
      problems.push(`the cluster has no node ${self.name}: the others do not know this one; see --node-name`)
    const [ours, theirs] = [self, told ?? self].map(({ podCidrs }) =>
      podCidrs
        .map(({ text }) => text)
        .sort()
        .join(', '),
    )
    if (ours !== theirs)
      problems.push(`the cluster says that ${self.name} has the pods ${theirs || 'none'}; this agent serves ${ours}`)
    for (const address of self.addresses)
      if (!addresses.has(address))
        problems.push(
          `${self.name} is said to be at ${address}, which none of its links has: others cannot reach it there; see --node-ip and the InternalIP of its Node`,
        )
    for (const cidr of self.podCidrs) {
      const bad = refusedNetwork(cidr, this.#settings)
      if (bad) problems.push(`the pod CIDR ${cidr.text} of ${self.name} ${bad}`)
      const lan = uplinks.find((one) => isOnLinkNetwork(one) && overlaps(one.cidr, cidr))
      const holds = this.#nodeWithin(cidr)
      if (lan)
        problems.push(`the pod CIDR ${cidr.text} of ${self.name} overlaps ${networkText(lan)}; give the pods others`)
      else if (holds) problems.push(`the pod CIDR ${cidr.text} of ${self.name} holds ${holds}; give the pods others`)
    }
    if (self.podCidrs.some(({ family }) => family === 6) && this.mtuBytes < MTU_BYTES_MIN_IPV6)
      problems.push(
        `pods would have an MTU of ${this.mtuBytes}, and IPv6 needs ${MTU_BYTES_MIN_IPV6}; raise that of ${this.uplinks.join(', ')}`,
      )
    return problems
  }
}

/** Why no node can have this pod CIDR. Pure. @returns undefined where it can */
export function refusedNetwork(cidr: Cidr, { serviceCidrs, clusterCidrs }: RefusedNetworks): string | undefined {
  const services = serviceCidrs.find((one) => overlaps(one, cidr))
  if (services) return `overlaps ${services.text}, the addresses of Services; give the pods others`
  const cluster = clusterCidrs.filter(({ family }) => family === cidr.family)
  if (cluster.length === 0) return undefined
  const around = cluster.find((one) => overlaps(one, cidr))
  if (!around) return `is outside of the cluster's ${cluster.map(({ text }) => text).join(', ')}; see --cluster-cidr`
  if (cidr.prefixLength <= around.prefixLength)
    return `is as large as the whole cluster's ${around.text}, and leaves nothing for other nodes; give each node a part, like a /${cidr.family === 4 ? Math.max(24, around.prefixLength + 1) : Math.max(64, around.prefixLength + 1)}`
  return undefined
}

function hostCidr(address: string): Cidr {
  const family = familyOf(address)
  const prefixLength = ADDRESS_BITS[family]
  return { family, text: `${address}/${prefixLength}`, first: numberOf(address), prefixLength }
}

function prefixOf({ family, prefixLength }: Cidr): string {
  return `${family}/${prefixLength}`
}

function textOf({ link, address, mac }: LinkNeighbour): string {
  return `${link} ${address} ${mac}`
}

/** '' for none. */
function publicKeyOf(node: ClusterNode | undefined): string {
  return node?.announcement?.wireguard?.publicKey ?? ''
}

function networkText({ cidr, link }: Uplink): string {
  return `${cidr.text}, the network on ${link}`
}

/** How often something is there. */
class Tally<Key> {
  readonly #counts = new Map<Key, number>()

  add(key: Key): void {
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
  }

  delete(key: Key): void {
    const left = (this.#counts.get(key) ?? 0) - 1
    if (left > 0) this.#counts.set(key, left)
    else this.#counts.delete(key)
  }

  has(key: Key): boolean {
    return this.#counts.has(key)
  }

  keys(): Key[] {
    return [...this.#counts.keys()].sort()
  }
}
