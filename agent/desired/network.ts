import type { Cidr } from '../../ipam/address.ts'
import type { ClusterNode, ClusterView } from '../cluster/view.ts'
import { Claims } from './claims.ts'
import { desiredMasquerade, type MasqueradeTable, masqueradeElement } from './masquerade.ts'
import { desiredNotrack } from './notrack.ts'
import { joined, type LinkNeighbour, NO_OBJECTS, type NodeObjects } from './objects.ts'
import { overlapProblems, ownOverlaps } from './overlaps.ts'
import { type DesiredPeer, desiredPeer, type PeerSettings } from './peer.ts'
import { type RefusedNetworks, refusedNetwork } from './refused-network.ts'
import { tunnelAddresses, tunnelLink } from './tunnel.ts'
import type { Tunnel, WayFacts } from './way.ts'

export type NetworkSettings = PeerSettings & RefusedNetworks

/** What this node knows of itself. */
export interface LocalFacts extends WayFacts {
  /** By the link's name, in bytes. */
  readonly linkMtus: ReadonlyMap<string, number>
  /** All addresses that the node has. */
  readonly addresses: ReadonlySet<string>
  /** The addresses of Services, as the cluster says them, besides those of the settings. */
  readonly serviceCidrs?: readonly Cidr[]
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
  readonly #networks: RefusedNetworks
  readonly #claims: Claims
  readonly #peers = new Map<string, DesiredPeer>()
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
    const { clusterCidrs, serviceCidrs } = settings
    this.#networks = { clusterCidrs, serviceCidrs: [...serviceCidrs, ...(facts.serviceCidrs ?? [])] }
    this.#claims = new Claims(facts, this.#networks)
  }

  /** @param changed the names of the nodes that may have; all of them by default */
  update(
    view: ClusterView,
    changed: Iterable<string> = new Set([...view.nodes.keys(), ...this.#claims.nodes.keys()]),
  ): Change {
    const concerned = new Set<string>()
    for (const name of changed) this.#claims.take(name, view.nodes.get(name), concerned)
    const before: NodeObjects[] = []
    const after: NodeObjects[] = []
    for (const name of concerned) {
      const old = this.#forget(name)
      if (old) before.push(old.objects)
      const node = this.#claims.nodes.get(name)
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
    const peers = [...this.#peers.values()]
    const overlapping = [...ownOverlaps(this.#facts), ...peers.flatMap(({ overlaps }) => overlaps)]
    const once = new Set(overlapping.map(({ problem }) => problem))
    const others = peers.flatMap(({ problems }) => problems.filter((problem) => !once.has(problem)))
    return [...new Set([...this.#aboutSelf(), ...overlapProblems(overlapping), ...others])]
  }

  #peer(node: ClusterNode): DesiredPeer {
    const refusal = this.#claims.refusal(node)
    if (refusal === undefined) return desiredPeer(node, this.#facts, this.#settings, this.#claims.keyHolder(node))
    return {
      objects: NO_OBJECTS,
      ways: [],
      tunnels: new Map(),
      uplinks: [],
      podCidrs: [],
      problems: [refusal],
      overlaps: [],
    }
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
    const { self, addresses } = this.#facts
    const { nodes } = this.#claims
    const told = nodes.get(self.name)
    const onNetworks = ownOverlaps(this.#facts).map(({ cidr }) => cidr)
    const problems: string[] = []
    if (!told && nodes.size > 0)
      problems.push(`the cluster has no node ${self.name}: the others do not know this one; see --node-name`)
    const [ours, theirs] = [self, told ?? self].map(({ podCidrs }) =>
      podCidrs
        .map(({ text }) => text)
        .sort()
        .join(', '),
    )
    if (ours !== theirs)
      problems.push(
        theirs
          ? `the cluster says that ${self.name} has the pods ${theirs}; this agent serves ${ours}`
          : `the cluster gives ${self.name} no pod CIDR; this agent still serves ${ours}`,
      )
    for (const address of self.addresses)
      if (!addresses.has(address))
        problems.push(
          `${self.name} is said to be at ${address}, which none of its links has: others cannot reach it there; see --node-ip and the InternalIP of its Node`,
        )
    for (const cidr of self.podCidrs) {
      const bad = refusedNetwork(cidr, this.#networks)
      if (bad) problems.push(`the pod CIDR ${cidr.text} of ${self.name} ${bad}`)
      const holds = this.#claims.heldBy(cidr)
      if (holds && !onNetworks.includes(cidr))
        problems.push(`the pod CIDR ${cidr.text} of ${self.name} holds ${holds}; give the pods others`)
    }
    if (self.podCidrs.some(({ family }) => family === 6) && this.mtuBytes < MTU_BYTES_MIN_IPV6)
      problems.push(
        `pods would have an MTU of ${this.mtuBytes}, and IPv6 needs ${MTU_BYTES_MIN_IPV6}; raise that of ${this.uplinks.join(', ')}`,
      )
    return problems
  }
}

function prefixOf({ family, prefixLength }: Cidr): string {
  return `${family}/${prefixLength}`
}

function textOf({ link, address, mac }: LinkNeighbour): string {
  return `${link} ${address} ${mac}`
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
