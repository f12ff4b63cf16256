import { DIRECTIONS, type Direction, type Policy, policyId, TIERS } from '../cluster/policy.ts'
import { DecidingPolicies } from '../policy/deciding-policies.ts'
import { Identities, type KnownPod } from '../policy/identities.ts'
import type { PolicyInput } from '../policy/input.ts'
import { selectsPod } from '../policy/selects.ts'
import { describeNamespaces, describeRule } from '../policy/words.ts'
import type { CounterValue, PolicyCounter } from '../ruleset/table.ts'
import type { Counted, PodReport, PolicyReport, PolicyRow, SideReport } from './policy-answers.ts'
import { endOf } from './policy-ends.ts'

/** A pod may be selected by all policies that there are, each with a thousand rules: an answer has room for so many. */
const POLICIES_MAX = 5_000
const RULES_MAX = 2_000

export interface Counters {
  /** What each counter counts, by name. */
  readonly defined: ReadonlyMap<string, PolicyCounter>
  readonly values: ReadonlyMap<string, CounterValue>
}

/** The policies that are known, or those that select one pod. Pure. @param pod `namespace/name`; undefined: all @throws EndError */
export function show(
  input: PolicyInput,
  counters: Counters,
  problems: readonly string[],
  pod: string | undefined,
): PolicyReport {
  const { workloads, localPods, mode } = input
  const known = pod === undefined ? undefined : knownPod(input, pod)
  const isAbout = (policy: Policy) => !known || selectsPod(policy.subject, known.pod, known.namespace)
  const policies = [...workloads.policies.values()].filter(isAbout).sort(inOrder)
  const locals = new Set([...localPods.values()].flatMap((local) => local.pod ?? []))
  const counted = countedByPolicy(counters)
  const isMeant = ({ policy }: PolicyRow) => problems.filter((problem) => problem.includes(policy))
  const rows = rowsOf(policies.slice(0, POLICIES_MAX), input, locals, counted)
  return {
    mode,
    ...(pod !== undefined && { pod: podReport(input, pod, known) }),
    policies: rows,
    morePolicies: policies.length - rows.length,
    problems: pod === undefined ? problems : [...new Set(rows.flatMap(isMeant))],
  }
}

/** @returns undefined for one that no policy can be about */
function knownPod({ workloads }: PolicyInput, key: string): KnownPod | undefined {
  const pod = workloads.pods.get(key)
  return pod && { key, pod, namespace: workloads.namespaces.get(pod.namespace) }
}

function inOrder(a: Policy, b: Policy): number {
  const byTier = TIERS.indexOf(a.tier) - TIERS.indexOf(b.tier)
  return byTier || a.priority - b.priority || (policyId(a) < policyId(b) ? -1 : 1)
}

/** Pods by namespace: most policies are for one of them. */
function rowsOf(
  policies: readonly Policy[],
  { workloads }: PolicyInput,
  locals: ReadonlySet<string>,
  counted: ReadonlyMap<string, readonly Counted[]>,
): PolicyRow[] {
  const byNamespace = Map.groupBy(workloads.pods, ([, { namespace }]) => namespace)
  return policies.map((policy) => {
    const { namespaces } = policy.subject
    const candidates = typeof namespaces === 'string' ? (byNamespace.get(namespaces) ?? []) : [...workloads.pods]
    const selected = candidates.filter(([, pod]) =>
      selectsPod(policy.subject, pod, workloads.namespaces.get(pod.namespace)),
    )
    return {
      policy: policyId(policy),
      tier: policy.tier,
      priority: policy.priority,
      isAudit: policy.isAudit,
      directions: DIRECTIONS.filter((direction) => policy[direction] !== undefined),
      subject: subjectOf(policy),
      pods: selected.length,
      localPods: selected.filter(([key]) => locals.has(key)).length,
      counted: counted.get(policyId(policy)) ?? [],
    }
  })
}

function subjectOf({ subject: { namespaces, pods }, namespace }: Policy): string {
  const where =
    typeof namespaces === 'string' && namespaces === namespace ? '' : ` in ${describeNamespaces(namespaces)}`
  return `${pods.text === '' ? 'all pods' : `pods ${pods.text}`}${where}`
}

function countedByPolicy({ defined, values }: Counters): Map<string, Counted[]> {
  const found = new Map<string, Counted[]>()
  for (const { name, effect, direction, policy } of defined.values()) {
    const value = values.get(name)
    if (!value || !direction || policy === undefined) continue
    found.set(policy, [...(found.get(policy) ?? []), { direction, effect, ...value }])
  }
  return found
}

function podReport(input: PolicyInput, key: string, known: KnownPod | undefined): PodReport {
  const identities = new Identities(input)
  const { addresses, note } = endOf(`pod ${key}`, input, identities)
  const { nodeName: node = '', labels = {} } = known?.pod ?? {}
  const local = [...input.localPods.values()].find((one) => one.pod === key)
  const side = (direction: Direction) => sideReport(input, direction, known)
  return {
    pod: key,
    node: local ? input.nodeName : node,
    addresses,
    labels,
    isLocal: local !== undefined,
    ...(note !== undefined && { note }),
    ingress: side('ingress'),
    egress: side('egress'),
  }
}

function sideReport(input: PolicyInput, direction: Direction, known: KnownPod | undefined): SideReport {
  const { mode } = input
  if (!known || known.pod.isHostNetwork) return { rest: 'open', policies: [], rules: [], moreRules: 0 }
  const deciding = new DecidingPolicies(input).of(known)[direction]
  const isAudit = (policy: Policy) => policy.isAudit || mode === 'never'
  const isIsolated = deciding.NetworkPolicy.some((policy) => !isAudit(policy))
  const tiers = TIERS.filter((tier) => tier !== 'Baseline' || !isIsolated)
  const policies = tiers.flatMap((tier) => deciding[tier])
  const rules = policies.flatMap((policy) => (policy[direction] ?? []).map((rule) => ({ rule, policy })))
  return {
    rest: isIsolated || mode === 'always' ? 'closed' : 'open',
    policies: policies.slice(0, POLICIES_MAX).map(policyId),
    rules: rules.slice(0, RULES_MAX).map(({ rule, policy }) => ({
      policy: policyId(policy),
      path: rule.path,
      ...(rule.name !== undefined && { name: rule.name }),
      action: rule.action,
      words: describeRule(rule, direction, policy),
    })),
    moreRules: Math.max(0, rules.length - RULES_MAX),
  }
}
