import { Evaluator } from '../policy/evaluate.ts'
import type { PolicyInput } from '../policy/input.ts'
import { nameOf, nodeParties, type Party, pairOf, placedPods, podParties, THE_WORLD } from '../policy/parties.ts'
import { describePorts, type PortClass } from '../policy/port-classes.ts'
import { type AskedPort, askedPorts, open, portsBetween, type Reach, reaches } from '../policy/reach.ts'
import { describeVerdict } from '../policy/words.ts'
import type { Matrix, MatrixCell, MatrixEnd } from './policy-answers.ts'
import { EndError } from './policy-ends.ts'
import { Patience } from './policy-patience.ts'

/** Nobody reads a larger table. */
const OWN_MAX = 40
const OTHERS_MAX = 30
/** Of a party. */
const MEMBERS_SHOWN = 20
/** Of a cell. */
const REASONS_SHOWN = 8

type Cell = Pick<MatrixCell, 'reach' | 'ports' | 'why'>
interface End {
  readonly kind: MatrixEnd['kind']
  readonly parties: readonly Party[]
}
interface Others extends End {
  /** Behind one another: from them to each of the namespace, and from each of it to them. */
  readonly cells: readonly (Cell | undefined)[]
}

/**
 * Who of a namespace reaches whom, and who else reaches them. Pods that no policy tells apart are one line; of the others
 * in the cluster, all that the namespace cannot tell apart.
 * @throws EndError
 */
export async function matrix(input: PolicyInput, namespace: string, asked: AskedPort | undefined): Promise<Matrix> {
  const patience = new Patience()
  const evaluator = new Evaluator(input)
  const policies = [...input.workloads.policies.values()]
  const pods = placedPods(input, evaluator.identities)
  const isOwn = ({ pod }: { readonly pod: { readonly namespace: string } }) => pod.namespace === namespace
  const parties = podParties(pods.filter(isOwn), policies, { isByNamespace: true })
  if (parties.length === 0)
    throw new EndError(`no pod of namespace "${namespace}" has an address of its own; see: kubectl get pods -A`)
  const own = parties.slice(0, OWN_MAX)
  const cells: MatrixCell[] = []
  for (const [from, one] of own.entries())
    for (const [to, other] of own.entries()) {
      const cell = (await patience.isOver()) ? undefined : cellOf(evaluator, one, other, asked)
      if (cell) cells.push({ from, to, ...cell })
    }
  const strangers = [
    THE_WORLD, // which is never left out
    ...nodeParties(input, policies),
    ...podParties(
      pods.filter((pod) => !isOwn(pod)),
      policies,
    ),
  ]
  const others: Others[] = []
  for (const party of strangers) {
    const found: (Cell | undefined)[] = []
    for (const one of own) {
      if (await patience.isOver()) break
      found.push(cellOf(evaluator, party, one, asked), cellOf(evaluator, one, party, asked))
    }
    if (found.length < own.length * 2) break
    others.push({ kind: party.kind, parties: [party], cells: found })
  }
  const merged = mergedAlike(others)
  const shown = merged.slice(0, OTHERS_MAX).toReversed()
  for (const [index, { cells: found }] of shown.entries())
    for (const [to] of own.entries()) {
      const [into, out] = [found[2 * to], found[2 * to + 1]]
      if (into) cells.push({ from: own.length + index, to, ...into })
      if (out) cells.push({ from: to, to: own.length + index, ...out })
    }
  const ends = [...own.map((party) => ({ kind: 'own' as const, parties: [party] })), ...shown]
  const leftOut = parties.length - own.length + (strangers.length - others.length) + (merged.length - shown.length)
  return {
    namespace,
    ...(asked && { port: asked.protocol === 'ICMP' ? 'ICMP' : `${asked.protocol} ${asked.port}` }),
    ends: ends.map((end) => endReport(end, namespace)),
    cells,
    leftOut,
  }
}

/** @returns undefined where there are not two, or no port of that name */
function cellOf(evaluator: Evaluator, from: Party, to: Party, asked: AskedPort | undefined): Cell | undefined {
  const pair = pairOf(from, to)
  if (!pair) return undefined
  const classes = asked ? askedPorts(asked, pair[1]) : portsBetween([evaluator], ...pair)
  const found = reaches(evaluator, ...pair, classes)
  if (classes.length === 0 || found.length === 0) return undefined
  const opens = found.map(open)
  const ports = opens.map((some) => describePorts(some, classes))
  const isSame = new Set(ports).size === 1
  const text = isSame ? (ports[0] ?? '') : found.map(({ family }, index) => `IPv${family}: ${ports[index]}`).join('; ')
  const isAll = opens.every(({ size }) => size === classes.length)
  const isNone = opens.every(({ size }) => size === 0)
  const whys = found.map(whyOf)
  const areAlike = new Set(whys.map((why) => why.join())).size === 1
  const why = areAlike
    ? (whys[0] ?? [])
    : found.flatMap(({ family }, index) => (whys[index] ?? []).map((line) => `IPv${family}: ${line}`))
  return { reach: isAll ? 'all' : isNone ? 'none' : 'some', ports: text, why: why.slice(0, REASONS_SHOWN) }
}

function whyOf({ classes, verdicts }: Reach): string[] {
  const byReason = new Map<string, Set<PortClass>>()
  for (const [one, verdict] of verdicts) {
    const text = `${verdict.isAllowed ? 'allowed' : 'denied'}, ${describeVerdict(verdict)}`
    byReason.set(text, (byReason.get(text) ?? new Set()).add(one))
  }
  return Array.from(byReason, ([text, some]) => `${describePorts(some, classes)}: ${text}`)
}

/** Others of one kind that the namespace reaches alike, and that reach it alike. */
function mergedAlike(others: readonly Others[]): Others[] {
  const merged = new Map<string, Others & { parties: Party[] }>()
  for (const { kind, parties, cells } of others) {
    const key = JSON.stringify([kind, cells.map((cell) => cell && [cell.reach, cell.ports])])
    const alike = merged.get(key)
    if (alike) alike.parties.push(...parties)
    else merged.set(key, { kind, parties: [...parties], cells })
  }
  return [...merged.values()]
}

function endReport({ kind, parties }: End, namespace: string): MatrixEnd {
  const members = parties.flatMap(({ members }) => members)
  const names = members.map(({ name }) => name)
  return { kind, name: endName(kind, names, namespace), count: members.length, members: names.slice(0, MEMBERS_SHOWN) }
}

function endName(kind: MatrixEnd['kind'], [first = '', ...more]: readonly string[], namespace: string): string {
  const name = kind === 'own' ? first.slice(namespace.length + 1) : kind === 'nodes' ? `node ${first}` : first
  return nameOf(name, more.length)
}
