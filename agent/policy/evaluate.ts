import { type Direction, type Policy, type Rule, TIERS } from '../cluster/policy.ts'
import type { Flow } from './flow.ts'
import { Identities, type Identity, knownPod, type PodIdentity } from './identities.ts'
import type { PolicyInput } from './input.ts'
import { matches } from './matches.ts'
import { PolicySelection } from './selected.ts'

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
  readonly pod: PodIdentity | undefined
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

/** Says of any flow in the cluster what the policies make of it, and why: the meaning of policies, in the order of its words. */
export class Evaluator {
  readonly identities: Identities
  readonly selection: PolicySelection
  readonly #input: PolicyInput

  constructor(input: PolicyInput) {
    this.#input = input
    this.identities = new Identities(input)
    this.selection = new PolicySelection(input)
  }

  evaluate(flow: Flow): Verdict {
    const [source, destination] = [this.identities.at(flow.source), this.identities.at(flow.destination)]
    const egress = this.#decide('egress', flow, source, destination)
    const ingress = this.#decide('ingress', flow, destination, source)
    return { isAllowed: egress.isAllowed && ingress.isAllowed, egress, ingress }
  }

  /** @param self the end whose direction it is */
  #decide(direction: Direction, flow: Flow, self: Identity, other: Identity): Decision {
    const { local } = self
    if (!local) {
      // Of two pods with one address nobody here can tell which one has it: both must agree.
      const decisions = self.pods.map((pod) => this.#decideFor(pod, pod.pod.nodeName, direction, flow, self, other))
      return decisions.find(({ isAllowed }) => !isAllowed) ?? decisions[0] ?? always('no-pod', undefined)
    }
    if (local.pod === undefined) return always('no-pod', undefined)
    const pod = knownPod(local, this.#input)
    const { nodeName } = this.#input
    return pod
      ? this.#decideFor(pod, nodeName, direction, flow, self, other)
      : this.#decideForUnknown(nodeName, self, other)
  }

  /** @param nodeName where the pod is */
  #decideFor(
    pod: PodIdentity,
    nodeName: string,
    direction: Direction,
    flow: Flow,
    self: Identity,
    other: Identity,
  ): Decision {
    if (isItself(self, other) || other.pods.some(({ key }) => key === pod.key)) return always('itself', pod)
    if (isNode(other, nodeName)) return always('own-node', pod)
    return this.#decideByTiers(pod, direction, (rule) => matches(rule, direction, flow, pod, other))
  }

  #decideForUnknown(nodeName: string, self: Identity, other: Identity): Decision {
    if (isItself(self, other)) return always('itself', undefined)
    if (isNode(other, nodeName)) return always('own-node', undefined)
    const { mode, failsOpen } = this.#input
    const because = { kind: 'unknown' } as const
    const audited = mode === 'never' && !failsOpen ? [because] : []
    return { isAllowed: failsOpen || mode === 'never', because, pod: undefined, passes: [], audited }
  }

  #decideByTiers(pod: PodIdentity, direction: Direction, isMatch: (rule: Rule) => boolean): Decision {
    const { mode } = this.#input
    const isAudit = (policy: Policy) => policy.isAudit || mode === 'never'
    const passes: { policy: Policy; rule: Rule }[] = []
    const audited: Reason[] = []
    const decision = (isAllowed: boolean, because: Reason) => ({ isAllowed, because, pod, passes, audited })
    const selected = this.selection.of(pod)[direction]
    tiers: for (const tier of TIERS) {
      const policies = selected[tier]
      for (const policy of policies)
        for (const rule of policy[direction] ?? []) {
          if (!isMatch(rule)) continue
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

function always(kind: 'no-pod' | 'own-node' | 'itself', pod: PodIdentity | undefined): Decision {
  return { isAllowed: true, because: { kind }, pod, passes: [], audited: [] }
}

function isItself(self: Identity, other: Identity): boolean {
  return self.address === other.address || (self.local !== undefined && self.local === other.local)
}

function isNode({ nodes }: Identity, name: string): boolean {
  return nodes.some((node) => node.name === name)
}
