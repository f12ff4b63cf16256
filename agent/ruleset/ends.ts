import { DIRECTIONS, type Direction, type Policy, policyId } from '../cluster/policy.ts'
import { DROP_LOG_GROUP } from '../ownership.ts'
import { hashOf, marked } from './names.ts'
import { type Ending, LOG_PREFIX, type PolicyChain, type PolicyCounter, type PolicySet } from './table.ts'

/**
 * Where packets end that nothing lets through: a chain for each reason that there is, with a log of its own. A packet
 * that several policies isolate a pod against is denied by each of them: each counts it, and one counter counts it once.
 * That makes the way of what is dropped longer, and of nothing else. Log and drop are rules of their own, so that a flood is logged a few times a second, and dropped always.
 */
export interface End {
  /** For those that end here; of an audit the packet goes on behind the jump. */
  readonly verb: 'goto' | 'jump'
  readonly chain: PolicyChain
  readonly counters: readonly PolicyCounter[]
  /** For comments: whose it is. */
  readonly what: readonly string[]
}

export const WORDS = { ingress: 'in', egress: 'out' } as const

/** Each packet that policies dropped, or would have, once. */
export const TOTALS: readonly PolicyCounter[] = (['dropped', 'audited'] as const).flatMap((effect) =>
  DIRECTIONS.map((direction) => ({ name: totalOf(effect, direction), effect, direction })),
)

/**
 * The pods of this node about which something was logged lately, by direction: each has its own rate, so that one that is
 * flooded, or floods, hides nobody else.
 */
export const TOLD_SETS: readonly PolicySet[] = DIRECTIONS.flatMap((direction) =>
  ([4, 6] as const).map((family) => ({
    name: toldSet(direction, family),
    ...{ type: `ipv${family}_addr`, isInterval: false, isDynamic: true, comment: '', elements: new Set<string>() },
  })),
)
const LOG_RATE = 'limit rate 1/second burst 5 packets'

/** What is logged of a packet: its headers, and not what pods say to each other. In bytes. */
const SNAP_LENGTH_BYTES = 128

/** Nothing lets the packet through of a pod that these policies isolate, or one of them denies it. */
export function dropEnd(direction: Direction, policies: readonly Policy[]): End {
  return endOfPolicies('drop', { effect: 'dropped', direction, policies: policies.map(policyId) }, true)
}

/** It would be dropped, and is counted. */
export function auditEnd(direction: Direction, policies: readonly Policy[]): End {
  return endOfPolicies('audit', { effect: 'audited', direction, policies: policies.map(policyId) }, false)
}

/** Nobody knows (yet) what the pod may. */
export function unknownEnd(direction: Direction, isEnforced: boolean): End {
  return endOfNobody('unknown', direction, isEnforced)
}

/** No policy says anything about the packet, and what is not allowed is closed. */
export function closedEnd(direction: Direction): End {
  return endOfNobody('closed', direction, true)
}

function endOfPolicies(word: 'drop' | 'audit', ending: Ending, isEnforced: boolean): End {
  const { effect, direction, policies } = ending
  const nameOf = (...some: readonly string[]) => `${word}-${WORDS[direction]}-${hashOf(...some)}`
  const counters = policies.map((policy) => ({ name: nameOf(policy), effect, direction, policy }))
  return end(nameOf(...policies), ending, isEnforced, counters)
}

function endOfNobody(effect: 'unknown' | 'closed', direction: Direction, isEnforced: boolean): End {
  const name = totalOf(effect, direction)
  return end(name, { effect, direction, policies: [] }, isEnforced, [{ name, effect, direction }])
}

function totalOf(effect: Ending['effect'], direction: Direction): string {
  return `${effect}-${WORDS[direction]}`
}

function toldSet(direction: Direction, family: 4 | 6): string {
  return `told-${WORDS[direction]}${family}`
}

function end(name: string, ending: Ending, isEnforced: boolean, counters: readonly PolicyCounter[]): End {
  const { direction, effect, policies } = ending
  const [first = '', ...others] = policies
  const what = [first, others.length > 0 ? `and ${others.length} more` : ''].filter((text) => text !== '')
  const log = `log prefix "${LOG_PREFIX}${name}" group ${DROP_LOG_GROUP} snaplen ${SNAP_LENGTH_BYTES}`
  const own = direction === 'ingress' ? 'daddr' : 'saddr'
  const logs = ([4, 6] as const).map((family) => {
    const address = `${family === 4 ? 'ip' : 'ip6'} ${own}`
    return marked(`update @${toldSet(direction, family)} { ${address} ${LOG_RATE} } ${log}`, ...what, effect)
  })
  const counts = counters.flatMap(({ name: counter, policy }) =>
    policy === undefined ? [] : [marked(`counter name "${counter}"`, policy, effect)],
  )
  const last = marked(`counter name "${totalOf(effect, direction)}"${isEnforced ? ' drop' : ''}`, ...what, effect)
  return {
    verb: isEnforced ? 'goto' : 'jump',
    chain: { name, ending, rules: [...logs, ...counts, last] },
    counters,
    what,
  }
}
