import { familyOf } from '../../ipam/address.ts'
import { DIRECTIONS, type Direction } from '../cluster/policy.ts'
import type { ChangedWorkloads, ClusterPod } from '../cluster/workloads.ts'
import type { LocalPod, PolicyInput } from '../policy/input.ts'
import { PolicyIndex } from '../policy/policy-index.ts'
import { selectsPod } from '../policy/selects.ts'
import { BASE_COUNTERS, baseChains, NODE_SETS } from './base-chains.ts'
import { unknownEnd } from './ends.ts'
import { LOCAL_MAPS, LOCAL_SETS, type LocalElements } from './local-elements.ts'
import { LocalElementsInUse } from './local-elements-in-use.ts'
import { Membership } from './membership.ts'
import type { PodRules } from './pod-rules.ts'
import { elementText } from './render.ts'
import { RulesInUse } from './rules-in-use.ts'
import type { PolicyChange, PolicyTable } from './table.ts'

export type PolicySettings = Pick<PolicyInput, 'nodeName' | 'mode' | 'failsOpen' | 'tunnelPorts'>
export type PolicyState = Pick<PolicyInput, 'workloads' | 'nodes' | 'localPods'>

/** The keys of what came, went or changed; of local pods the links. */
export interface ChangedState extends ChangedWorkloads {
  readonly nodes: ReadonlySet<string>
  readonly localPods: ReadonlySet<string>
}

export interface PolicyUpdate {
  readonly change: PolicyChange
  /** The links of local pods for which the rules may say something else than before. */
  readonly concerned: ReadonlySet<string>
}

/** The table from scratch. Pure. */
export function desiredPolicy(input: PolicyInput): PolicyTable {
  const desired = new DesiredPolicy(input)
  desired.update(input)
  return desired.table
}

/** Of a local pod, the keys of rules in use. */
type PodKeys = Readonly<Record<Direction, string>>

/**
 * The nftables table that should exist: a function of the cluster and of this node's pods, remembered piece by piece,
 * so that a change costs what it changes, in a cluster of any size. The way by which a state was reached leaves no trace:
 * a new one that is given the whole state at once says the same.
 */
export class DesiredPolicy {
  readonly #settings: PolicySettings
  readonly #membership = new Membership()
  readonly #policies = new PolicyIndex()
  readonly #rules = new RulesInUse(this.#membership)
  readonly #locals = new Map<string, LocalPod>()
  /** Links of a pod: more than one where it has more networks, or where one of its name is about to go. */
  readonly #linksByPod = new Map<string, Set<string>>()
  /** By link. */
  readonly #keys = new Map<string, PodKeys>()
  readonly #elements = new LocalElementsInUse()

  constructor(settings: PolicySettings) {
    this.#settings = settings
    this.#rules.acquireAs('tunnels', () => ({ entry: undefined, chains: [], counters: [], sets: NODE_SETS }))
  }

  /** @param changed what may have; all of it by default */
  update(state: PolicyState, changed: ChangedState = this.#everything(state)): PolicyUpdate {
    const dirty = new Set<string>()
    const { workloads, nodes, localPods } = state
    for (const name of changed.nodes) this.#membership.takeNode(name, nodes.get(name))
    for (const id of changed.policies) this.#takePolicy(id, state, dirty)
    for (const name of changed.namespaces)
      if (this.#membership.takeNamespace(name, workloads.namespaces.get(name)))
        for (const [link, { pod }] of this.#locals) if (pod?.startsWith(`${name}/`)) dirty.add(link)
    const pods = new Set(changed.pods)
    for (const link of changed.localPods)
      for (const pod of this.#takeLocal(link, localPods.get(link), dirty)) pods.add(pod)
    for (const key of pods) this.#takePod(key, workloads.pods.get(key), dirty)
    return this.#settle(dirty)
  }

  /** All of it, as it is now: what is in it goes on changing. */
  get table(): PolicyTable {
    const chains = baseChains(this.#settings.tunnelPorts)
    const local = this.#elements.all
    const sets = Object.entries(LOCAL_SETS).map(([name, type]) => {
      const elements = new Set(local.get(name)?.keys())
      return { name, type, isInterval: false, comment: '', elements }
    })
    const maps = Object.entries(LOCAL_MAPS).map(([name, type]) => {
      return { name, type, elements: local.get(name) ?? new Map() }
    })
    return {
      sets: new Map([...byName(sets), ...this.#rules.sets]),
      maps: byName(maps),
      chains: new Map([...byName(chains), ...this.#rules.chains]),
      counters: new Map([...byName(BASE_COUNTERS), ...this.#rules.counters]),
    }
  }

  #everything({ workloads, nodes, localPods }: PolicyState): ChangedState {
    const both = (...keys: Iterable<string>[]) => new Set(keys.flatMap((some) => [...some]))
    return {
      pods: both(workloads.pods.keys(), this.#membership.podKeys()),
      namespaces: both(workloads.namespaces.keys(), this.#membership.namespaceNames()),
      policies: both(workloads.policies.keys(), this.#policies.ids()),
      nodes: both(nodes.keys(), this.#membership.nodeNames()),
      localPods: both(localPods.keys(), this.#locals.keys()),
    }
  }

  /** Concerns those whom it was for, and those whom it is for now. */
  #takePolicy(id: string, { workloads }: PolicyState, dirty: Set<string>): void {
    const [old, policy] = [this.#policies.get(id), workloads.policies.get(id)]
    if (old === policy) return
    this.#policies.take(id, policy)
    for (const [link, local] of this.#locals) {
      const pod = this.#knownPod(local)
      const namespace = pod && this.#membership.namespace(pod.namespace)
      if (pod && [old, policy].some((one) => one && selectsPod(one.subject, pod, namespace))) dirty.add(link)
    }
  }

  /** @returns the pods whose addresses may be others now */
  #takeLocal(link: string, local: LocalPod | undefined, dirty: Set<string>): string[] {
    const old = this.#locals.get(link)
    if (old === local) return []
    dirty.add(link)
    this.#elements.take(link, local)
    if (old?.pod !== undefined) {
      const links = this.#linksByPod.get(old.pod)
      links?.delete(link)
      if (links?.size === 0) this.#linksByPod.delete(old.pod)
    }
    if (local) this.#locals.set(link, local)
    else this.#locals.delete(link)
    if (local?.pod !== undefined)
      this.#linksByPod.set(local.pod, (this.#linksByPod.get(local.pod) ?? new Set()).add(link))
    return [old?.pod, local?.pod].filter((pod) => pod !== undefined)
  }

  #takePod(key: string, pod: ClusterPod | undefined, dirty: Set<string>): void {
    if (this.#membership.takePod(key, pod, pod ? this.#addressesOf(key, pod) : []))
      for (const link of this.#linksByPod.get(key) ?? []) dirty.add(link)
  }

  /** Of a pod of this node, what its agent gave it; none once that is taken back, whatever the cluster still says. */
  #addressesOf(key: string, pod: ClusterPod): readonly string[] {
    if (pod.isHostNetwork) return []
    const locals = [...(this.#linksByPod.get(key) ?? [])].flatMap((link) => this.#locals.get(link) ?? [])
    const own = locals.filter((local) => isKnownAs(local, pod))
    if (own.length > 0) return own.flatMap(({ addresses }) => addresses)
    return pod.nodeName === this.#settings.nodeName ? [] : pod.addresses
  }

  #knownPod(local: LocalPod): ClusterPod | undefined {
    const pod = local.pod === undefined ? undefined : this.#membership.pod(local.pod)?.pod
    return pod && isKnownAs(local, pod) ? pod : undefined
  }

  #settle(dirty: ReadonlySet<string>): PolicyUpdate {
    // All new rules before any old ones go: what both refer to stays as it is.
    const old = [...dirty].flatMap((link) => this.#keys.get(link) ?? [])
    for (const link of dirty) {
      const local = this.#locals.get(link)
      if (local) this.#keys.set(link, this.#acquire(local))
      else this.#keys.delete(link)
    }
    for (const keys of old) for (const direction of DIRECTIONS) this.#rules.release(keys[direction])
    const change = this.#rules.settle()
    const local = dirty.size > 0 ? this.#localChange(dirty) : undefined
    const concerned = new Set([...this.#concernedBy(change), ...dirty])
    return { change: local ? merged(change, local) : change, concerned }
  }

  /** Works out who decides about a pod. @returns keys of rules in use */
  #acquire(local: LocalPod): PodKeys {
    return { ingress: this.#acquireOne(local, 'ingress'), egress: this.#acquireOne(local, 'egress') }
  }

  #acquireOne(local: LocalPod, direction: Direction): string {
    const { mode, failsOpen } = this.#settings
    const families = ([4, 6] as const).filter((family) => local.addresses.some((one) => familyOf(one) === family))
    const pod = this.#knownPod(local)
    if (!pod) {
      // Of a container that no Kubernetes has there is nothing to know.
      const isOpen = failsOpen || (local.pod === undefined && !local.isUnknown)
      const key = isOpen ? 'open' : `unknown ${direction}`
      this.#rules.acquireAs(key, () => (isOpen ? OPEN : unknownRules(direction, mode !== 'never')))
      return key
    }
    const policies = this.#policies.selecting(pod, this.#membership.namespace(pod.namespace))
    const subject = { direction, families, ports: pod.ports }
    const key = this.#rules.keyOf(policies, subject)
    this.#rules.acquire(key, policies, subject, mode)
    return key
  }

  #localChange(ruled: ReadonlySet<string>): Pick<PolicyChange, 'addedElements' | 'removedElements'> {
    const { before, after } = this.#elements.settle(ruled, (link) => {
      const keys = this.#keys.get(link)
      const entry = (direction: Direction) => keys && this.#rules.get(keys[direction])?.entry
      return { ingress: entry('ingress'), egress: entry('egress') }
    })
    return elementChange(before, after)
  }

  /** Those whose rules look into a set that has other elements now. */
  #concernedBy({ addedElements, removedElements }: PolicyChange): Set<string> {
    const keys = this.#rules.lookingInto([...addedElements.keys(), ...removedElements.keys()])
    if (keys.size === 0) return new Set()
    const concerned = Array.from(this.#keys).filter(([, own]) =>
      DIRECTIONS.some((direction) => keys.has(own[direction])),
    )
    return new Set(concerned.map(([link]) => link))
  }
}

const OPEN: PodRules = { entry: undefined, chains: [], counters: [], sets: [] }

function unknownRules(direction: Direction, isEnforced: boolean): PodRules {
  const { chain, counter } = unknownEnd(direction, isEnforced)
  return { entry: chain.name, chains: [chain], counters: [counter], sets: [] }
}

/** A pod that was made again under its name is another one; and one that has been wired has not the network of its node. */
function isKnownAs({ isUnknown, uid }: LocalPod, pod: ClusterPod): boolean {
  return !isUnknown && !pod.isHostNetwork && (uid === undefined || uid === pod.uid)
}

function elementChange(
  before: LocalElements,
  after: LocalElements,
): Pick<PolicyChange, 'addedElements' | 'removedElements'> {
  const addedElements = new Map<string, string[]>()
  const removedElements = new Map<string, string[]>()
  for (const [name, elements] of after) {
    const old = before.get(name) ?? new Map()
    const added = [...elements].filter(([element, chain]) => old.get(element) !== chain)
    const removed = [...old].filter(([element, chain]) => elements.get(element) !== chain)
    if (added.length > 0) addedElements.set(name, added.map(elementText))
    if (removed.length > 0)
      removedElements.set(
        name,
        removed.map(([element]) => element),
      )
  }
  return { addedElements, removedElements }
}

/** The names of the sets of pods of this node and of others are never the same. */
function merged(change: PolicyChange, local: Pick<PolicyChange, 'addedElements' | 'removedElements'>): PolicyChange {
  return {
    ...change,
    addedElements: new Map([...change.addedElements, ...local.addedElements]),
    removedElements: new Map([...change.removedElements, ...local.removedElements]),
  }
}

function byName<T extends { readonly name: string }>(things: readonly T[]): Map<string, T> {
  return new Map(things.map((thing) => [thing.name, thing]))
}
