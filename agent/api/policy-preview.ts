import { parseClusterNetworkPolicyObject } from '../cluster/cluster-network-policy-object.ts'
import { parseNetworkPolicyObject } from '../cluster/network-policy-object.ts'
import { DIRECTIONS, type Direction, type Policy, policyId } from '../cluster/policy.ts'
import { PolicyObjectError } from '../cluster/policy-object.ts'
import { Evaluator } from '../policy/evaluate.ts'
import type { PolicyInput } from '../policy/input.ts'
import { nodeParties, outsideParties, type Party, pairOf, placedPods, podParties } from '../policy/parties.ts'
import { PolicyIndex } from '../policy/policy-index.ts'
import { describePorts } from '../policy/port-classes.ts'
import { open, portsBetween, reaches } from '../policy/reach.ts'
import type { Alike, Difference, PolicyChangeKind, Preview } from './policy-answers.ts'
import { Patience } from './policy-patience.ts'

/** People read it. */
const DIFFERENCES_MAX = 200
/** Of each side of a difference. */
const NAMES_MAX = 30
/** Of those that are told apart by nothing. */
const ALIKE_MAX = 50
const MEMBERS_MAX = 20
/** Of each family, that policies single out of the world. */
const RANGES_MAX = 30

/** The cluster as it is, and as it would be. */
export interface Change {
  readonly before: PolicyInput
  readonly after: PolicyInput
  /** Old and new ones that differ. */
  readonly policies: readonly Policy[]
  readonly report: Pick<Preview, 'changes' | 'others' | 'problems'>
}

/**
 * What some objects would make of the policies, added or in the place of those of their names, or deleted. Of two of one
 * name the first counts, as in a folder of manifests. Pure.
 */
export function changeBy(objects: readonly unknown[], before: PolicyInput, isDelete: boolean): Change {
  const policies = new Map(before.workloads.policies)
  const changes: { policy: string; what: PolicyChangeKind }[] = []
  const others: string[] = []
  const problems: { object: string; reason: string }[] = []
  const changed: Policy[] = []
  const seen = new Set<string>()
  for (const object of objects) {
    const { kind } = (object ?? {}) as { kind?: unknown }
    if (kind !== 'NetworkPolicy' && kind !== 'ClusterNetworkPolicy') {
      others.push(nameOfObject(object))
      continue
    }
    try {
      const parsed = (kind === 'NetworkPolicy' ? parseNetworkPolicyObject : parseClusterNetworkPolicyObject)(object)
      const id = policyId(parsed.policy)
      if (seen.has(id)) {
        problems.push({ object: id, reason: 'is there twice: the first one counts here and in a folder; remove one' })
        continue
      }
      seen.add(id)
      const old = policies.get(id)
      problems.push(...parsed.problems.map(({ field, reason }) => ({ object: id, reason: `${field}: ${reason}` })))
      const what = changeOf(old, isDelete ? undefined : parsed.policy)
      changes.push({ policy: id, what })
      if (what === 'unchanged' || what === 'not there') continue
      changed.push(...(old ? [old] : []), ...(isDelete ? [] : [parsed.policy]))
      if (isDelete) policies.delete(id)
      else policies.set(id, parsed.policy)
    } catch (error) {
      if (!(error instanceof PolicyObjectError)) throw error
      problems.push({ object: nameOfObject(object), reason: error.message })
    }
  }
  const after = { ...before, workloads: { ...before.workloads, policies } }
  return { before, after, policies: changed, report: { changes, others, problems } }
}

function changeOf(old: Policy | undefined, policy: Policy | undefined): PolicyChangeKind {
  if (!policy) return old ? 'deleted' : 'not there'
  if (!old) return 'new'
  return textOf(old) === textOf(policy) ? 'unchanged' : 'changed'
}

/** Ranges are bigints, which JSON has not. */
function textOf(policy: Policy): string {
  return JSON.stringify(policy, (_, value) => (typeof value === 'bigint' ? String(value) : value))
}

function nameOfObject(object: unknown): string {
  const { kind, metadata } = (object ?? {}) as { kind?: unknown; metadata?: { namespace?: unknown; name?: unknown } }
  const name = [metadata?.namespace, metadata?.name].filter((part) => part !== undefined).join('/')
  return `${typeof kind === 'string' ? kind : 'an object without a kind'} ${name}`.trim().slice(0, 300)
}

/**
 * Between whom something changes. Only what the policies that differ select can change: each of these parties is looked at
 * with everybody, as it is and as it would be.
 */
export async function differences({
  before,
  after,
  policies,
}: Change): Promise<Pick<Preview, 'differences' | 'moreDifferences' | 'alike' | 'pairs'>> {
  const patience = new Patience()
  const [was, is] = [new Evaluator(before), new Evaluator(after)]
  const looked = new Set([...before.workloads.policies.values(), ...policies])
  const pods = podParties(placedPods(before, was.identities), looked)
  const everybody = [...pods, ...nodeParties(before, looked), ...outsideParties(policies, was.identities, RANGES_MAX)]
  const found: Found[] = []
  let compared = 0
  const selected = selectedBy(policies, pods)
  const { ingress, egress } = selected
  const all = ingress.size * everybody.length + egress.size * (everybody.length - ingress.size)
  for (const pair of pairsOf(selected, everybody)) {
    if (await patience.isOver()) break
    compared++
    found.push(...compare(was, is, pair))
  }
  const differences = grouped(found)
  return {
    differences: differences.slice(0, DIFFERENCES_MAX),
    moreDifferences: Math.max(0, differences.length - DIFFERENCES_MAX),
    alike: alikeOf(found),
    pairs: { compared, all },
  }
}

/** Each once; they may be a million, of which none is kept. */
function* pairsOf({ ingress, egress }: Selected, everybody: readonly Party[]): Generator<readonly [Party, Party]> {
  for (const to of ingress) for (const from of everybody) yield [from, to]
  for (const from of egress) for (const to of everybody) if (!ingress.has(to)) yield [from, to]
}

/** Those whom the policies are about, by direction. */
type Selected = Readonly<Record<Direction, ReadonlySet<Party>>>

function selectedBy(policies: readonly Policy[], pods: readonly Party[]): Selected {
  const index = new PolicyIndex()
  for (const [number, policy] of policies.entries()) index.take(String(number), policy)
  const selected = { ingress: new Set<Party>(), egress: new Set<Party>() }
  for (const party of pods) {
    const [{ pod }] = party.members
    for (const policy of pod ? index.selecting(pod.pod, pod.namespace) : [])
      for (const direction of DIRECTIONS) if (policy[direction]) selected[direction].add(party)
  }
  return selected
}

interface Found {
  readonly from: Party
  readonly to: Party
  readonly family?: 4 | 6
  readonly opened?: string
  readonly closed?: string
}

function compare(was: Evaluator, is: Evaluator, [from, to]: readonly [Party, Party]): Found[] {
  const pair = pairOf(from, to)
  if (!pair) return []
  const classes = portsBetween([was, is], ...pair)
  const after = reaches(is, ...pair, classes)
  const changes = reaches(was, ...pair, classes).map(({ family, ...reach }, index) => {
    const old = open({ family, ...reach })
    const now = after[index] ? open(after[index]) : old
    return {
      family,
      opened: describePorts(without(now, old), classes),
      closed: describePorts(without(old, now), classes),
    }
  })
  const [first, second] = changes
  const areAlike = first && second && first.opened === second.opened && first.closed === second.closed
  return (areAlike ? [first] : changes).flatMap(({ family, opened, closed }) => {
    if (opened === 'nothing' && closed === 'nothing') return []
    return [
      {
        from,
        to,
        ...(changes.length > 1 && !areAlike && { family }),
        ...(opened !== 'nothing' && { opened }),
        ...(closed !== 'nothing' && { closed }),
      },
    ]
  })
}

function without<T>(some: ReadonlySet<T>, others: ReadonlySet<T>): Set<T> {
  return new Set([...some].filter((one) => !others.has(one)))
}

/** The same change of many pairs is one line: first all who reach one party so, then all who are reached alike. */
function grouped(found: readonly Found[]): Difference[] {
  const rows = new Map<string, { from: string[]; to: Party; what: Omit<Found, 'from' | 'to'> }>()
  for (const { from, to, ...what } of found) {
    const key = JSON.stringify([what.family, what.opened, what.closed, to.name])
    const row = rows.get(key) ?? { from: [], to, what }
    row.from.push(from.name)
    rows.set(key, row)
  }
  const alike = new Map<string, Difference & { to: string[] }>()
  for (const { from, to, what } of rows.values()) {
    const key = JSON.stringify([what.family, what.opened, what.closed, from])
    const difference = alike.get(key) ?? { from, to: [], ...what }
    difference.to.push(to.name)
    alike.set(key, difference)
  }
  return Array.from(alike.values(), (one) => ({ ...one, from: few(one.from), to: few(one.to) }))
}

function alikeOf(found: readonly Found[]): Alike[] {
  const parties = new Set(found.flatMap(({ from, to }) => [from, to]))
  return [...parties]
    .filter(({ members }) => members.length > 1)
    .slice(0, ALIKE_MAX)
    .map(({ name, members }) => {
      return { name, count: members.length, members: members.slice(0, MEMBERS_MAX).map((one) => one.name) }
    })
}

function few(names: readonly string[]): string[] {
  const more = names.length - NAMES_MAX
  return more <= 0 ? [...names] : [...names.slice(0, NAMES_MAX), `${more} more`]
}
