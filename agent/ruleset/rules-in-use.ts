import type { Direction, Policy, Rule } from '../cluster/policy.ts'
import type { Subject } from './match.ts'
import type { Members } from './members.ts'
import type { Membership } from './membership.ts'
import { setComment } from './names.ts'
import type { PodRules } from './pod-rules.ts'
import { Registry } from './registry.ts'
import { describeSelection, type SetUse, typeOf } from './selection.ts'
import type { PolicyChain, PolicyChange, PolicyCounter, PolicySet } from './table.ts'

/**
 * The rules of all pods of this node, worked out once for pods that are selected by the same policies and have the same
 * ports; and chains, counters and sets, each there for as long as rules refer to it.
 */
export class RulesInUse {
  readonly #membership: Membership
  readonly #rules = new Registry<PodRules>()
  readonly #chains = new Registry<PolicyChain>()
  readonly #counters = new Registry<PolicyCounter>()
  readonly #sets = new Registry<SetInUse>()
  /** By set: the keys of the rules that look into it. */
  readonly #rulesBySet = new Map<string, Set<string>>()
  /** New, or with other elements than when it was asked last. */
  #touched = new Set<SetInUse>()
  /** Of each policy as it is; another one with its name has another number. */
  readonly #numbers = new WeakMap<Policy, number>()
  #lastNumber = 0
  readonly #ends = new WeakMap<
    Policy,
    { readonly version: number; readonly texts: Readonly<Record<Direction, string>> }
  >()

  constructor(membership: Membership) {
    this.#membership = membership
  }

  /** What tells these rules from all others. */
  keyOf(policies: readonly Policy[], { direction, families, ports }: Omit<Subject, 'tunnelEnds'>): string {
    const numbers = policies.map((policy) => `${this.#numberOf(policy)}${this.#endsIn(policy, direction)}`)
    const dependsOnPorts = direction === 'ingress' && ports.length > 0 && policies.some(namesPorts)
    return `${direction} ${families.join()} ${numbers.join()}${dependsOnPorts ? JSON.stringify(ports) : ''}`
  }

  /** @param make only called for the first user */
  acquire(key: string, make: () => PodRules): PodRules {
    return this.#rules.acquire(key, () => {
      const rules = make()
      for (const chain of rules.chains) this.#chains.acquire(chain.name, () => chain)
      for (const counter of rules.counters) this.#counters.acquire(counter.name, () => counter)
      for (const use of rules.sets) {
        this.#sets.acquire(use.set, () => this.#setInUse(use))
        this.#rulesBySet.set(use.set, (this.#rulesBySet.get(use.set) ?? new Set()).add(key))
      }
      return rules
    })
  }

  get(key: string): PodRules | undefined {
    return this.#rules.get(key)
  }

  release(key: string): void {
    const rules = this.#rules.release(key)
    if (!rules) return
    for (const { name } of rules.chains) this.#chains.release(name)
    for (const { name } of rules.counters) this.#counters.release(name)
    for (const { set } of rules.sets) {
      this.#rulesBySet.get(set)?.delete(key)
      const last = this.#sets.release(set)
      if (!last) continue
      this.#rulesBySet.delete(set)
      this.#membership.release(last.use)
    }
  }

  /** The keys of the rules that look into any of these sets. */
  lookingInto(sets: Iterable<string>): ReadonlySet<string> {
    return new Set(Array.from(sets, (set) => [...(this.#rulesBySet.get(set) ?? [])]).flat())
  }

  chain(name: string): PolicyChain | undefined {
    return this.#chains.get(name)
  }

  get chains(): ReadonlyMap<string, PolicyChain> {
    return new Map(this.#chains)
  }

  get counters(): ReadonlyMap<string, PolicyCounter> {
    return new Map(this.#counters)
  }

  get sets(): ReadonlyMap<string, PolicySet> {
    return new Map(this.#sets)
  }

  /** What came and went since this was asked last. */
  settle(): PolicyChange {
    this.#rules.settle()
    const [sets, chains, counters] = [this.#sets.settle(), this.#chains.settle(), this.#counters.settle()]
    const addedElements = new Map<string, readonly string[]>()
    const removedElements = new Map<string, readonly string[]>()
    const areNew = new Set(sets.added)
    for (const set of this.#touched) {
      const { name } = set
      const { added, removed } = set.settle()
      if (areNew.has(set) || this.#sets.get(name) !== set) continue // comes or goes with all that it has
      if (added.length > 0) addedElements.set(name, added)
      if (removed.length > 0) removedElements.set(name, removed)
    }
    this.#touched = new Set()
    return {
      addedSets: sets.added,
      removedSets: sets.removed,
      addedChains: chains.added,
      removedChains: chains.removed,
      addedCounters: counters.added,
      removedCounters: counters.removed,
      addedElements,
      removedElements,
    }
  }

  #setInUse(use: SetUse): SetInUse {
    const set = new SetInUse(use, this.#membership.acquire(use), () => this.#touched.add(set))
    this.#touched.add(set)
    return set
  }

  /** Which of its rules are about tunnels' ends, and of which families: another text, other rules. */
  #endsIn(policy: Policy, direction: Direction): string {
    const { tunnelEnds } = this.#membership
    const { version } = tunnelEnds
    const known = this.#ends.get(policy)
    if (known?.version === version) return known.texts[direction]
    const textOf = (rules: readonly Rule[] = []) =>
      rules
        .flatMap(({ peers = [] }, index) => {
          const families = tunnelEnds.familiesIn(peers.flatMap((peer) => (peer.kind === 'ranges' ? peer.ranges : [])))
          return families.length > 0 ? [` ${index}:${families.join('')}`] : []
        })
        .join('')
    const texts = { ingress: textOf(policy.ingress), egress: textOf(policy.egress) }
    this.#ends.set(policy, { version, texts })
    return texts[direction]
  }

  #numberOf(policy: Policy): number {
    const number = this.#numbers.get(policy) ?? ++this.#lastNumber
    this.#numbers.set(policy, number)
    return number
  }
}

/** A set of one family, with the elements that it has at each moment. */
class SetInUse implements PolicySet {
  readonly use: SetUse
  readonly #members: Members

  constructor(use: SetUse, members: Members, onChange: () => void) {
    this.use = use
    this.#members = members
    members.elements[use.family].onChange = onChange
  }

  get name(): string {
    return this.use.set
  }

  get type(): string {
    return typeOf(this.use.selection, this.use.family)
  }

  get isInterval(): boolean {
    return this.use.selection.kind === 'cidrs'
  }

  get comment(): string {
    return setComment(describeSelection(this.use.selection))
  }

  get elements(): ReadonlySet<string> {
    return this.#members.elements[this.use.family].present
  }

  settle() {
    return this.#members.elements[this.use.family].settle()
  }
}

function namesPorts({ ingress }: Policy): boolean {
  return (ingress ?? []).some(({ ports }) => ports?.some((port) => 'name' in port))
}
