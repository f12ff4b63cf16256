import { type Direction, type Policy, policyId, type Tier } from '../cluster/policy.ts'
import type { KnownPod } from './identities.ts'
import type { PolicyInput } from './input.ts'
import { PolicyIndex } from './policy-index.ts'

/** The policies that decide about a pod's traffic; of each direction and tier in the order in which they do. */
export type Deciding = Readonly<Record<Direction, Readonly<Record<Tier, readonly Policy[]>>>>

/** Which policies decide about which pods, looked for once for each pod. */
export class DecidingPolicies {
  readonly #index = new PolicyIndex()
  readonly #found = new Map<string, Deciding>()

  constructor({ workloads }: Pick<PolicyInput, 'workloads'>) {
    for (const policy of workloads.policies.values()) this.#index.take(policyId(policy), policy)
  }

  of(known: KnownPod): Deciding {
    const found = this.#found.get(known.key) ?? this.#find(known)
    this.#found.set(known.key, found)
    return found
  }

  /** The index has them by name, and what is equal stays in this order. */
  #find({ pod, namespace }: KnownPod): Deciding {
    const policies = this.#index.selecting(pod, namespace).sort((a, b) => a.priority - b.priority)
    const inTier = (direction: Direction, tier: Tier) =>
      policies.filter((policy) => policy.tier === tier && policy[direction] !== undefined)
    const inTiers = (direction: Direction): Record<Tier, readonly Policy[]> => ({
      Admin: inTier(direction, 'Admin'),
      NetworkPolicy: inTier(direction, 'NetworkPolicy'),
      Baseline: inTier(direction, 'Baseline'),
    })
    return { ingress: inTiers('ingress'), egress: inTiers('egress') }
  }
}
