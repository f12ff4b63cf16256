import { familyOf } from '../../ipam/address.ts'
import { DIRECTIONS, type Direction } from '../cluster/policy.ts'
import type { ViewProblem } from '../cluster/problem.ts'
import type { ChangedWorkloads, ClusterPod } from '../cluster/workloads.ts'
import type { LocalPod, PolicyInput } from '../policy/input.ts'
import { PolicyIndex } from '../policy/policy-index.ts'
import { selectsPod } from '../policy/selects.ts'
import { BASE_COUNTERS, baseChains, NODE_SETS } from './base-chains.ts'
import { elementDifference, withElements } from './element-difference.ts'
import { TOLD_SETS, unknownEnd } from './ends.ts'
import { HERE_SETS, hereElements } from './here.ts'
import { LOCAL_MAPS, LOCAL_SETS } from './local-elements.ts'
import { LocalElementsInUse } from './local-elements-in-use.ts'
import { isKnownAs, LocalPods } from './local-pods.ts'
import { Membership } from './membership.ts'
import { type PodRules, podRules } from './pod-rules.ts'
import { PodsElsewhere } from './pods-elsewhere.ts'
import { RulesInUse } from './rules-in-use.ts'
import type { Ending, PolicyChange, PolicyTable } from './table.ts'

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
  readonly #locals: LocalPods
  readonly #elsewhere: PodsElsewhere
  /** By link. */
  readonly #keys = new Map<string, PodKeys>()
  readonly #elements = new LocalElementsInUse()
  #here = hereElements(undefined)

  constructor(settings: PolicySettings) {
    this.#settings = settings
    this.#locals = new LocalPods(settings.nodeName)
    this.#elsewhere = new PodsElsewhere(settings.nodeName)
    this.#rules.acquire('tunnels', () => ({ entry: undefined, chains: [], counters: [], sets: NODE_SETS }))
  }

  /** @param changed what may have; all of it by default */
  update(state: PolicyState, changed: ChangedState = this.#everything(state)): PolicyUpdate {
    const dirty = new Set<string>()
    const { workloads, nodes, localPods } = state
    const { tunnelEnds } = this.#membership
    const endsBefore = tunnelEnds.version
    const { nodeName } = this.#settings
    const here = this.#here
    if (changed.nodes.has(nodeName)) this.#here = hereElements(nodes.get(nodeName))
    const pods = new Set(changed.pods)
    for (const name of changed.nodes) {
      this.#membership.takeNode(name, nodes.get(name))
      if (this.#elsewhere.takeNode(name, nodes.get(name))) for (const key of workloads.pods.keys()) pods.add(key)
    }
    for (const id of changed.policies) this.#takePolicy(id, state, dirty)
    for (const name of changed.namespaces)
      if (this.#membership.takeNamespace(name, workloads.namespaces.get(name)))
        for (const [link, { pod }] of this.#locals) if (pod?.startsWith(`${name}/`)) dirty.add(link)
    for (const link of changed.localPods)
      for (const pod of this.#takeLocal(link, localPods.get(link), state, dirty)) pods.add(pod)
    for (const key of pods) this.#takePod(key, workloads.pods.get(key), dirty)
    if (tunnelEnds.version !== endsBefore)
      for (const [link, local] of this.#locals)
        if (!dirty.has(link) && this.#isRuledOtherwise(link, local)) dirty.add(link)
    const { change, concerned } = this.#settle(dirty)
    return { change: withElements(change, elementDifference(here, this.#here)), concerned }
  }

  /** Pods that say they have addresses which they cannot have; the same list while they are the same. */
  get problems(): readonly ViewProblem[] {
    return this.#elsewhere.problems
  }

  /** All of it, as it is now: what is in it goes on changing. */
  get table(): PolicyTable {
    const chains = baseChains(this.#settings.tunnelPorts)
    const local = new Map([...this.#here, ...this.#elements.all])
    const sets = Object.entries({ ...LOCAL_SETS, ...HERE_SETS }).map(([name, type]) => {
      const elements = new Set(local.get(name)?.keys())
      return { name, type, isInterval: false, comment: '', elements }
    })
    const maps = Object.entries(LOCAL_MAPS).map(([name, type]) => {
      return { name, type, elements: local.get(name) ?? new Map() }
    })
    return {
      sets: new Map([...byName([...sets, ...TOLD_SETS]), ...this.#rules.sets]),
      maps: byName(maps),
      chains: new Map([...byName(chains), ...this.#rules.chains]),
      counters: new Map([...byName(BASE_COUNTERS), ...this.#rules.counters]),
    }
  }

  /** What becomes of packets in a chain where they end; undefined for any other. */
  endingOf(chain: string): Ending | undefined {
    return this.#rules.chain(chain)?.ending
  }

  #everything({ workloads, nodes, localPods }: PolicyState): ChangedState {
    const both = (...keys: Iterable<string>[]) => new Set(keys.flatMap((some) => [...some]))
    return {
      pods: both(workloads.pods.keys(), this.#membership.podKeys()),
      namespaces: both(workloads.namespaces.keys(), this.#membership.namespaceNames()),
      policies: both(workloads.policies.keys(), this.#policies.ids()),
      nodes: both(nodes.keys(), this.#membership.nodeNames()),
      localPods: both(localPods.keys(), this.#locals.links()),
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
  #takeLocal(
    link: string,
    local: LocalPod | undefined,
    { workloads }: PolicyState,
    dirty: Set<string>,
  ): readonly string[] {
    const old = this.#locals.get(link)
    const pods = this.#locals.take(link, local)
    if (!pods) return []
    dirty.add(link)
    this.#elements.take(link, local)
    const moved = [...(old?.addresses ?? []), ...(local?.addresses ?? [])]
    return [...pods, ...this.#elsewhere.claiming(moved, workloads.pods)]
  }

  #takePod(key: string, pod: ClusterPod | undefined, dirty: Set<string>): void {
    if (this.#membership.takePod(key, pod, this.#addressesOf(key, pod)))
      for (const link of this.#locals.linksOf(key)) dirty.add(link)
  }

  #addressesOf(key: string, pod: ClusterPod | undefined): readonly string[] {
    const given = pod ? this.#locals.addressesOf(key, pod) : []
    if (pod && !given) return this.#elsewhere.addressesOf(key, pod, (address) => this.#locals.hasAddress(address))
    this.#elsewhere.forget(key)
    return given ?? []
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
    return { change: local ? withElements(change, local) : change, concerned }
  }

  /** Works out who decides about a pod. @returns keys of rules in use */
  #acquire(local: LocalPod): PodKeys {
    const [ingress, egress] = [this.#ruling(local, 'ingress'), this.#ruling(local, 'egress')]
    for (const { key, make } of [ingress, egress]) this.#rules.acquire(key, make)
    return { ingress: ingress.key, egress: egress.key }
  }

  #isRuledOtherwise(link: string, local: LocalPod): boolean {
    const keys = this.#keys.get(link)
    return DIRECTIONS.some((direction) => keys?.[direction] !== this.#ruling(local, direction).key)
  }

  #ruling(local: LocalPod, direction: Direction): { readonly key: string; readonly make: () => PodRules } {
    const { mode, failsOpen } = this.#settings
    const pod = this.#knownPod(local)
    if (!pod) {
      // Of a container that no Kubernetes has there is nothing to know.
      const isOpen = failsOpen || (local.pod === undefined && !local.isUnknown)
      if (isOpen) return { key: 'open', make: () => OPEN }
      return { key: `unknown ${direction}`, make: () => unknownRules(direction, mode !== 'never') }
    }
    const policies = this.#policies.selecting(pod, this.#membership.namespace(pod.namespace))
    const families = ([4, 6] as const).filter((family) => local.addresses.some((one) => familyOf(one) === family))
    const subject = { direction, families, ports: pod.ports, tunnelEnds: this.#membership.tunnelEnds }
    return { key: this.#rules.keyOf(policies, subject), make: () => podRules(policies, subject, mode) }
  }

  #localChange(ruled: ReadonlySet<string>): Pick<PolicyChange, 'addedElements' | 'removedElements'> {
    const { before, after } = this.#elements.settle(ruled, (link) => {
      const keys = this.#keys.get(link)
      const entry = (direction: Direction) => keys && this.#rules.get(keys[direction])?.entry
      return { ingress: entry('ingress'), egress: entry('egress') }
    })
    return elementDifference(before, after)
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
  const { chain, counters } = unknownEnd(direction, isEnforced)
  return { entry: chain.name, chains: [chain], counters, sets: [] }
}

/** A pod that was made again under its name is another one; and one that has been wired has not the network of its node. */
function byName<T extends { readonly name: string }>(things: readonly T[]): Map<string, T> {
  return new Map(things.map((thing) => [thing.name, thing]))
}
