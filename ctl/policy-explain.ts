import { stringify } from 'yaml'
import type {
  ExplainedCase,
  Explanation,
  MissingReport,
  SideVerdict,
  WrittenRule,
} from '../agent/api/policy-answers.ts'

/** Why one reaches the other, or not, as people read it. */

export function renderExplanation({ from, to, cases }: Explanation): string {
  const notes = [from, to].flatMap(({ name, note }) => (note === undefined ? [] : [`${name}: ${note}`]))
  const blocks = cases.map((one) =>
    [
      `${one.isAllowed ? 'allowed' : 'denied'}: ${ends({ from, to }, one)}, ${whatOf(one)}`,
      ...side(`out of ${from.name}`, one.egress),
      ...side(`into ${to.name}`, one.ingress),
      ...one.missing.flatMap(missing),
      ...(!one.isAllowed && one.missing.length === 0
        ? [`ask about one port to see what is missing for it: ${to.name}:PORT/PROTO`]
        : []),
    ].join('\n'),
  )
  return [...notes, ...blocks].join('\n\n')
}

function ends({ from, to }: Pick<Explanation, 'from' | 'to'>, { families }: ExplainedCase): string {
  const named = ({ name, addresses }: Explanation['from']) => {
    const used = addresses.filter((address) => families.includes(address.includes(':') ? 6 : 4))
    return used.length === 0 || used[0] === name ? name : `${name} (${used.join(', ')})`
  }
  return `${named(from)} to ${named(to)}`
}

function whatOf({ ports, families }: ExplainedCase): string {
  return `${ports}, ${families.map((family) => `IPv${family}`).join(' and ')}`
}

function side(where: string, { isAllowed, kind, rule, policies = [], passes, audited }: SideVerdict): string[] {
  const verdict = isAllowed ? 'allowed' : 'denied'
  return [
    ...passes.flatMap((pass) => [`${where}: handed on to the next tier by ${nameOf(pass)}`, ...lines([pass.source])]),
    ...audited.flatMap((one) =>
      one.rule
        ? [`${where}: would be denied, were it not on audit, by ${nameOf(one.rule)}`, ...lines([one.rule.source])]
        : [`${where}: would be denied, isolated by ${listed(one.policies ?? [])}, were that not on audit`],
    ),
    ...(rule
      ? [`${where}: ${verdict} by ${nameOf(rule)}`, ...lines([rule.source])]
      : [`${where}: ${verdict}, ${reason(kind, isAllowed, policies)}`]),
  ]
}

function reason(kind: SideVerdict['kind'], isAllowed: boolean, policies: readonly string[]): string {
  switch (kind) {
    case 'isolated':
      return `isolated by ${listed(policies)}, and no rule lets it through`
    case 'own-node':
      return 'a pod and its own node always reach each other'
    case 'itself':
      return 'it is the same one'
    case 'unknown':
      return 'nothing is known of the pod yet'
    case 'no-pod':
      return 'it is no pod that policies are about'
    default:
      return isAllowed ? 'no policy decides' : 'no policy lets it through, and --policy-mode is always'
  }
}

function nameOf({ policy, path }: WrittenRule): string {
  return `${policy}, ${path}:`
}

function missing(one: MissingReport): string[] {
  switch (one.kind) {
    case 'rule':
      return [
        '',
        `what is missing: this in ${one.policy}, as ${one.path}${isInOrder(one.policy) ? ', before the rule that is there' : ''}:`,
        ...lines([one.source]),
      ]
    case 'policy':
      return ['', 'what is missing: a policy that lets it through:', ...lines(one.source)]
    case 'correction':
      return [
        '',
        `what is missing: ${one.path} of ${one.policy} cannot be done as it is, and so denies everything;`,
        'see: bramblectl policy show',
      ]
    case 'nothing':
      return []
  }
}

/** Of a NetworkPolicy the order of rules is of no matter. */
function isInOrder(policy: string): boolean {
  return policy.startsWith('ClusterNetworkPolicy ')
}

/** As Kubernetes reads it: YAML 1.1, where `yes` is no text. */
function lines(source: unknown): string[] {
  return stringify(source, { version: '1.1', lineWidth: 0 })
    .trimEnd()
    .split('\n')
    .map((line) => `    ${line}`)
}

function listed(policies: readonly string[]): string {
  return policies.join(', ')
}
