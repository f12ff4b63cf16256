import { type Policy, policyId, type Rule } from '../cluster/policy.ts'
import { type Decision, Evaluator, type Reason, type Verdict } from '../policy/evaluate.ts'
import type { PolicyInput } from '../policy/input.ts'
import { type Missing, missingFor } from '../policy/missing.ts'
import { addressOf, WORLD } from '../policy/parties.ts'
import { describePorts, type PortClass } from '../policy/port-classes.ts'
import { askedPorts, portsBetween, type Reach, reaches } from '../policy/reach.ts'
import type {
  EndReport,
  ExplainedCase,
  Explanation,
  MissingReport,
  SideVerdict,
  WrittenRule,
} from './policy-answers.ts'
import { askedPort, type End, EndError, endOf } from './policy-ends.ts'

/** May one reach the other, and who says so? Pure. @throws EndError */
export function explain(input: PolicyInput, words: Readonly<Record<string, string>>): Explanation {
  const { FROM = '', TO = '' } = words
  const evaluator = new Evaluator(input)
  const [from, to] = [endOf(FROM, input, evaluator.identities), endOf(TO, input, evaluator.identities)]
  const asked = askedPort(words)
  const classes = asked ? askedPorts(asked, to) : portsBetween([evaluator], from, to)
  if (classes.length === 0)
    throw new EndError(`${to.name} has no ${asked?.protocol} port called ${asked?.port}: it has ${portNames(to)}`)
  const found = reaches(evaluator, from, to, classes)
  if (found.length === 0)
    throw new EndError(
      `${from.name} has ${familiesOf(from)} and ${to.name} has ${familiesOf(to)}: nothing goes from one to the other`,
    )
  const cases = mergedFamilies(found.flatMap((reach) => casesOf(reach, evaluator, { from, to, isAsked: !!asked })))
  return {
    from: reportOf(from),
    to: reportOf(to),
    isAllowed: cases.every(({ isAllowed }) => isAllowed),
    cases,
  }
}

function casesOf(
  { family, classes, verdicts }: Reach,
  evaluator: Evaluator,
  { from, to, isAsked }: { readonly from: End; readonly to: End; readonly isAsked: boolean },
): ExplainedCase[] {
  const alike = Map.groupBy(classes, (one) => JSON.stringify(sidesOf(verdicts.get(one))))
  return Array.from(alike.values(), (some): ExplainedCase => {
    const [first] = some as [PortClass, ...PortClass[]]
    const verdict = verdicts.get(first) as Verdict
    // A rule without ports is what is missing for all of them; for some of them a person has to say for which.
    const isWhole = some.length === classes.length
    const flow = {
      source: addressOf(from, family) as string,
      destination: addressOf(to, family) as string,
      protocol: isAsked ? first.protocol : ('ICMP' as const),
      destinationPort: isAsked ? first.first : 0,
    }
    const missing =
      isAsked || isWhole ? missingFor(flow, verdict, evaluator.identities).map(missingReport).map(forWorld) : []
    const ports = isAsked
      ? `${first.protocol}${first.first === 0 ? '' : ` ${first.first}`}`
      : describePorts(new Set(some), classes)
    return { families: [family], ports, isAllowed: verdict.isAllowed, ...sidesOf(verdict), missing }
  })
}

/** What both families have alike is told once. */
function mergedFamilies(cases: readonly ExplainedCase[]): ExplainedCase[] {
  const alike = Map.groupBy(cases, ({ ports, egress, ingress }) => JSON.stringify([ports, egress, ingress]))
  return Array.from(alike.values(), (some) => {
    return {
      ...(some[0] as ExplainedCase),
      families: some.flatMap(({ families }) => families),
      missing: mergedMissing(some.flatMap(({ missing }) => missing)),
    }
  })
}

/** One rule is enough for the addresses of both families. */
function mergedMissing(all: readonly MissingReport[]): MissingReport[] {
  const merged = new Map<string, MissingReport>()
  for (const one of all) {
    const { source, ...place } = { source: undefined, ...one }
    const before = merged.get(JSON.stringify(place))
    const isBoth = one.kind === 'rule' && before?.kind === 'rule'
    merged.set(JSON.stringify(place), isBoth ? { ...one, source: joined(before.source, source) } : one)
  }
  return [...merged.values()]
}

/** Of two rules the peers; all else they have alike. */
function joined(a: unknown, b: unknown): object {
  const [first, second] = [a, b] as Record<string, unknown>[]
  const peers = (key: 'from' | 'to') => {
    const all = [first?.[key], second?.[key]].flatMap((some) => (Array.isArray(some) ? some : []))
    return all.length === 0 ? {} : { [key]: [...new Map(all.map((one) => [JSON.stringify(one), one])).values()] }
  }
  return { ...first, ...peers('from'), ...peers('to') }
}

function sidesOf(verdict: Verdict | undefined) {
  const { egress, ingress } = verdict as Verdict
  return { egress: sideOf(egress), ingress: sideOf(ingress) }
}

function sideOf({ isAllowed, because, pod, passes, audited }: Decision): SideVerdict {
  return {
    isAllowed,
    ...(pod && { pod: pod.key }),
    kind: because.kind,
    ...reasonOf(because),
    passes: passes.map(written),
    audited: audited.map(reasonOf),
  }
}

function reasonOf(because: Reason): Pick<SideVerdict, 'rule' | 'policies'> {
  if (because.kind === 'rule') return { rule: written(because) }
  return because.kind === 'isolated' ? { policies: because.policies.map(policyId) } : {}
}

function written({ policy, rule }: { readonly policy: Policy; readonly rule: Rule }): WrittenRule {
  return { policy: policyId(policy), path: rule.path, action: rule.action, source: rule.source }
}

function missingReport(missing: Missing): MissingReport {
  const { direction } = missing
  switch (missing.kind) {
    case 'rule':
      return { direction, kind: 'rule', policy: policyId(missing.policy), path: missing.path, source: missing.rule }
    case 'policy':
      return { direction, kind: 'policy', source: missing.object }
    case 'correction':
      return { direction, kind: 'correction', policy: policyId(missing.policy), path: missing.path }
    case 'nothing':
      return { direction, kind: 'nothing' }
  }
}

/** What stands for the world is nobody's to write down. */
function forWorld(missing: MissingReport): MissingReport {
  if (!('source' in missing)) return missing
  const source = JSON.stringify(missing.source)
    .replaceAll(`"${WORLD[4]}/32"`, '"0.0.0.0/0"')
    .replaceAll(`"${WORLD[6]}/128"`, '"::/0"')
  return { ...missing, source: JSON.parse(source) }
}

function reportOf({ name, addresses, note }: End): EndReport {
  return { name, addresses, ...(note !== undefined && { note }) }
}

function portNames({ pod }: End): string {
  const names = (pod?.pod.ports ?? []).map(({ name, protocol }) => `${name} (${protocol})`)
  return names.join(', ') || 'none with a name; write the number'
}

function familiesOf(end: End): string {
  const families = ([4, 6] as const).filter((family) => addressOf(end, family) !== undefined)
  return families.map((family) => `IPv${family}`).join(' and ')
}
