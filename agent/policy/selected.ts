import { DIRECTIONS, type Direction, type Policy, TIERS, type Tier } from '../cluster/policy.ts'
import type { PodIdentity } from './identities.ts'
import type { PolicyInput } from './input.ts'
import { selectsPod } from './selects.ts'

/** The policies that decide about a pod's traffic in one direction; of each tier in the order in which they decide. */
export type SelectedPolicies = Readonly<Record<Direction, Readonly<Record<Tier, readonly Policy[]>>>>

/** Which policies select which pods: looked for once for each pod. */
export class PolicySelection {
  /** NetworkPolicies by their namespace, the others under ''. */
  readonly #policies: ReadonlyMap<string, readonly Policy[]>
  readonly #selected = new Map<string, SelectedPolicies>()

  constructor({ workloads }: Pick<PolicyInput, 'workloads'>) {
    const ordered = [...workloads.policies.values()].sort(
      (a, b) => a.priority - b.priority || (a.name < b.name ? -1 : Number(a.name > b.name)),
    )
    this.#policies = Map.groupBy(ordered, ({ namespace }) => namespace ?? '')
  }

  of(identity: PodIdentity): SelectedPolicies {
    const known = this.#selected.get(identity.key)
    if (known) return known
    const selected = this.#select(identity)
    this.#selected.set(identity.key, selected)
    return selected
  }

  #select({ pod, namespace }: PodIdentity): SelectedPolicies {
    const policies = ['', pod.namespace]
      .flatMap((key) => this.#policies.get(key) ?? [])
      .filter(({ subject }) => selectsPod(subject, pod, namespace))
    const inTier = (direction: Direction, tier: Tier) =>
      policies.filter((policy) => policy.tier === tier && policy[direction] !== undefined)
    const inTiers = (direction: Direction) =>
      Object.fromEntries(TIERS.map((tier) => [tier, inTier(direction, tier)])) as Record<Tier, Policy[]>
    return Object.fromEntries(DIRECTIONS.map((direction) => [direction, inTiers(direction)])) as SelectedPolicies
  }
}
