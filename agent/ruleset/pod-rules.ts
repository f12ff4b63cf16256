import { type Direction, type Policy, policyId, type Rule, TIERS } from '../cluster/policy.ts'
import type { PolicyMode } from '../policy/input.ts'
import { auditEnd, closedEnd, dropEnd, type End, WORDS } from './ends.ts'
import { matchesOf, type Subject } from './match.ts'
import { hashOf, marked } from './names.ts'
import type { SetUse } from './selection.ts'
import type { Effect, PolicyChain, PolicyCounter } from './table.ts'

/** All that decides about one direction of a pod, and what its rules refer to. */
export interface PodRules {
  /** The chain that the pod's address leads to; absent: nothing is said about it, and it is open. */
  readonly entry: string | undefined
  readonly chains: readonly PolicyChain[]
  readonly counters: readonly PolicyCounter[]
  readonly sets: readonly SetUse[]
}

/**
 * The chains of the pods that these policies select, one for each tier that says anything: `return` lets the packet
 * through in this direction, `goto` asks the next tier. Pure.
 * @param policies those that select the pods, whatever direction they are about
 */
export function podRules(policies: readonly Policy[], subject: Subject, mode: PolicyMode): PodRules {
  const { direction } = subject
  const about = policies.filter((policy) => policy[direction] !== undefined).toSorted(inOrder)
  const isIsolated = about.some((policy) => policy.tier === 'NetworkPolicy' && !isAudited(policy, mode))
  const tiers = TIERS.filter((tier) => tier !== 'Baseline' || !isIsolated)
  const found = new Found()
  let next: Verdict = mode === 'always' && !isIsolated ? found.end(closedEnd(direction)) : 'return'
  for (const tier of tiers.toReversed()) {
    const some = about.filter((policy) => policy.tier === tier)
    const rules = some.flatMap((policy) => policyRules(policy, subject, mode, next, found))
    if (tier === 'NetworkPolicy' && some.length > 0) rules.push(isolation(some, direction, mode, found))
    if (rules.length === 0) continue
    if (next !== 'return') rules.push(marked(next, 'what no rule above decides'))
    next = found.chain(direction, rules)
  }
  return { entry: next === 'return' ? undefined : next.slice('goto '.length), ...found.parts }
}

type Verdict = 'return' | `${'goto' | 'jump'} ${string}`

/** The order does not depend on how policies were listed; of a NetworkPolicy it is of no matter, but the text should be one. */
function inOrder(a: Policy, b: Policy): number {
  return a.priority - b.priority || (policyId(a) < policyId(b) ? -1 : 1)
}

function isAudited({ isAudit }: Policy, mode: PolicyMode): boolean {
  return isAudit || mode === 'never'
}

/** A pod that NetworkPolicies isolate gets nothing that none of their rules lets through; those on audit isolate nobody. */
function isolation(policies: readonly Policy[], direction: Direction, mode: PolicyMode, found: Found): string {
  const enforced = policies.filter((policy) => !isAudited(policy, mode))
  const end = enforced.length > 0 ? dropEnd(direction, enforced) : auditEnd(direction, policies)
  return marked(found.end(end), ...end.what, 'what no rule lets through')
}

function policyRules(policy: Policy, subject: Subject, mode: PolicyMode, next: Verdict, found: Found): string[] {
  return (policy[subject.direction] ?? []).flatMap((rule) => {
    const matches = matchesOf(rule, subject)
    if (matches.length === 0) return []
    const verdict = verdictOf(rule, policy, subject.direction, mode, next, found)
    return matches.map(({ text, sets }) => {
      for (const use of sets) found.use(use)
      return marked(text === '' ? verdict : `${text} ${verdict}`, policyId(policy), rule.path)
    })
  })
}

function verdictOf(
  { action }: Rule,
  policy: Policy,
  direction: Direction,
  mode: PolicyMode,
  next: Verdict,
  found: Found,
): string {
  switch (action) {
    case 'Accept':
      return `${found.count('accept', 'accepted', policy, direction)} return`
    case 'Deny':
      return found.end(isAudited(policy, mode) ? auditEnd(direction, [policy]) : dropEnd(direction, [policy]))
    case 'Pass':
      return `${found.count('pass', 'passed', policy, direction)} ${next}`
  }
}

/** What the rules refer to. */
class Found {
  readonly #chains = new Map<string, PolicyChain>()
  readonly #counters = new Map<string, PolicyCounter>()
  readonly #sets = new Map<string, SetUse>()

  get parts(): Omit<PodRules, 'entry'> {
    return {
      chains: [...this.#chains.values()],
      counters: [...this.#counters.values()],
      sets: [...this.#sets.values()],
    }
  }

  use(use: SetUse): void {
    this.#sets.set(use.set, use)
  }

  end({ verb, chain, counters }: End): Verdict {
    this.#chains.set(chain.name, chain)
    for (const counter of counters) this.#counters.set(counter.name, counter)
    return `${verb} ${chain.name}`
  }

  /** A statement that counts for the policy. */
  count(word: string, effect: Effect, policy: Policy, direction: Direction): string {
    const name = `${word}-${WORDS[direction]}-${hashOf(policyId(policy))}`
    this.#counters.set(name, { name, effect, direction, policy: policyId(policy) })
    return `counter name "${name}"`
  }

  chain(direction: Direction, rules: readonly string[]): Verdict {
    const name = `${WORDS[direction]}-${hashOf(...rules)}`
    this.#chains.set(name, { name, rules })
    return `goto ${name}`
  }
}
