import { type Direction, type Policy, type Rule, TIERS } from '../cluster/policy.ts'
import { applies } from './applies.ts'
import { DecidingPolicies } from './deciding-policies.ts'
import type { Flow } from './flow.ts'
import { Identities, type Identity, type KnownPod, knownPod } from './identities.ts'
import type { LocalPod, PolicyInput } from './input.ts'

/** What lets a flow through in one direction, or drops it. */
export type Reason =
  /** It is a node, an address outside of the cluster or a container that no Kubernetes has: no policy is about it. */
  | { readonly kind: 'no-pod' }
  /** The other end is the node that the pod is on, or the pod itself: always allowed. */
  | { readonly kind: 'own-node' | 'itself' }
  /** Nothing is known of the pod yet. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'rule'; readonly policy: Policy; readonly rule: Rule }
  /** These NetworkPolicies select the pod, and no rule of theirs lets the flow through. */
  | { readonly kind: 'isolated'; readonly policies: readonly Policy[] }
  /** No policy decides: open, but closed with `--policy-mode always`. */
  | { readonly kind: 'default' }

export interface Decision {
  readonly isAllowed: boolean
  readonly because: Reason
  /** Whose direction it is; undefined: no policy is about this end. */
  readonly pod: KnownPod | undefined
  /** Rules that handed it on to the next tier, in order. */
  readonly passes: readonly { readonly policy: Policy; readonly rule: Rule }[]
  /** What would have dropped it, were it not on audit. */
  readonly audited: readonly Reason[]
}

/** A flow is allowed when its source may send it and its destination may get it. */
export interface Verdict {
  readonly isAllowed: boolean
  readonly egress: Decision
  readonly ingress: Decision
}

/** A flow, as it is seen from the end whose direction it is. */
interface Side {
  readonly direction: Direction
  readonly flow: Flow
  readonly self: Identity
  readonly other: Identity
}

/** Says of any flow in the cluster what the policies make of it, and why: the meaning of policies, in the order of its words. */
export class Evaluator {
  readonly identities: Identities
  readonly policies: DecidingPolicies
  readonly #input: PolicyInput

  constructor(input: PolicyInput) {
    this.#input = input
    this.identities = new Identities(input)
    this.policies = new DecidingPolicies(input)
  }

  evaluate(flow: Flow): Verdict {
    const [source, destination] = [this.identities.at(flow.source), this.identities.at(flow.destination)]
    const egress = this.#decide({ direction: 'egress', flow, self: source, other: destination })
    const ingress = this.#decide({ direction: 'ingress', flow, self: destination, other: source })
    return { isAllowed: egress.isAllowed && ingress.isAllowed, egress, ingress }
  }

  /** As far as this node's rules decide: about its own pods. For the other end another node's do. */
  isAllowedHere(flow: Flow): boolean {
    const { egress, ingress } = this.evaluate(flow)
    const isOurs = (address: string) => this.identities.at(address).local !== undefined
    return (egress.isAllowed || !isOurs(flow.source)) && (ingress.isAllowed || !isOurs(flow.destination))
  }

  #decide(side: Side): Decision {
    const { local, pods } = side.self
    if (local) return this.#decideForLocal(local, side)
    // Of two pods with one address nobody here can tell which one has it: both must agree.
    const decisions = pods.map((pod) => this.#decideForPod(pod, pod.pod.nodeName, side))
    return decisions.find(({ isAllowed }) => !isAllowed) ?? decisions[0] ?? always('no-pod', undefined)
  }

  #decideForLocal(local: LocalPod, side: Side): Decision {
    if (local.pod === undefined && !local.isUnknown) return always('no-pod', undefined)
    const pod = knownPod(local, this.#input)
    const { nodeName, mode, failsOpen } = this.#input
    if (pod) return this.#decideForPod(pod, nodeName, side)
    const kind = alwaysAllowed(nodeName, side)
    if (kind) return always(kind, undefined)
    const because = { kind: 'unknown' } as const
    const audited = mode === 'never' && !failsOpen ? [because] : []
    return { isAllowed: failsOpen || mode === 'never', because, pod: undefined, passes: [], audited }
  }

  /** @param nodeName where the pod is */
  #decideForPod(pod: KnownPod, nodeName: string, side: Side): Decision {
    const { direction, flow, other } = side
    const kind = alwaysAllowed(nodeName, side)
    return kind
      ? always(kind, pod)
      : this.#decideByTiers(pod, direction, (rule) => applies(rule, direction, flow, pod, other))
  }

  #decideByTiers(pod: KnownPod, direction: Direction, isAbout: (rule: Rule) => boolean): Decision {
    const { mode } = this.#input
    const isAudit = (policy: Policy) => policy.isAudit || mode === 'never'
    const passes: { policy: Policy; rule: Rule }[] = []
    const audited: Reason[] = []
    const decision = (isAllowed: boolean, because: Reason) => ({ isAllowed, because, pod, passes, audited })
    const selected = this.policies.of(pod)[direction]
    tiers: for (const tier of TIERS) {
      const policies = selected[tier]
      for (const policy of policies)
        for (const rule of policy[direction] ?? []) {
          if (!isAbout(rule)) continue
          const because = { kind: 'rule', policy, rule } as const
          if (rule.action === 'Accept') return decision(true, because)
          if (rule.action === 'Pass') {
            passes.push({ policy, rule })
            continue tiers
          }
          if (!isAudit(policy)) return decision(false, because)
          audited.push(because)
        }
      if (tier !== 'NetworkPolicy' || policies.length === 0) continue
      const isolating = policies.filter((policy) => !isAudit(policy))
      if (isolating.length > 0) return decision(false, { kind: 'isolated', policies: isolating })
      audited.push({ kind: 'isolated', policies })
    }
    return decision(mode !== 'always', { kind: 'default' })
  }
}

function always(kind: 'no-pod' | 'own-node' | 'itself', pod: KnownPod | undefined): Decision {
  return { isAllowed: true, because: { kind }, pod, passes: [], audited: [] }
}

function alwaysAllowed(nodeName: string, { self, other }: Side) {
  if (self.address === other.address) return 'itself'
  return other.nodeName === nodeName || other.nodes.some(({ name }) => name === nodeName) ? 'own-node' : undefined
}
