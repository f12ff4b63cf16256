import { type Direction, type Policy, policyId } from '../cluster/policy.ts'
import { DROP_LOG_GROUP } from '../ownership.ts'
import { hashOf, marked } from './names.ts'
import { LOG_PREFIX, type PolicyChain, type PolicyCounter, type PolicySet } from './table.ts'

/**
 * Where packets end that nothing lets through: a chain for each reason that there is, with a counter and a log of its
 * own. Log and drop are rules of their own, so that a flood is logged a few times a second, and dropped always.
 */
export interface End {
  /** For those that end here; of an audit the packet goes on behind the jump. */
  readonly verb: 'goto' | 'jump'
  readonly chain: PolicyChain
  readonly counter: PolicyCounter
  /** For comments: whose it is. */
  readonly what: readonly string[]
}

export const WORDS = { ingress: 'in', egress: 'out' } as const

/**
 * The pods of this node about which something was logged lately, by direction: each has its own rate, so that one that is
 * flooded, or floods, hides nobody else.
 */
export const TOLD_SETS: readonly PolicySet[] = (['ingress', 'egress'] as const).flatMap((direction) =>
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
  const name = `drop-${WORDS[direction]}-${hashOf(...policies.map(policyId))}`
  return end(name, { effect: 'dropped', direction, policies: policies.map(policyId) }, true)
}

/** It would be dropped, and is counted. */
export function auditEnd(direction: Direction, policies: readonly Policy[]): End {
  const name = `audit-${WORDS[direction]}-${hashOf(...policies.map(policyId))}`
  return end(name, { effect: 'audited', direction, policies: policies.map(policyId) }, false)
}

/** Nobody knows (yet) what the pod may. */
export function unknownEnd(direction: Direction, isEnforced: boolean): End {
  return end(`unknown-${WORDS[direction]}`, { effect: 'unknown', direction, policies: [] }, isEnforced)
}

/** No policy says anything about the packet, and what is not allowed is closed. */
export function closedEnd(direction: Direction): End {
  return end(`closed-${WORDS[direction]}`, { effect: 'closed', direction, policies: [] }, true)
}

function toldSet(direction: Direction, family: 4 | 6): string {
  return `told-${WORDS[direction]}${family}`
}

function end(
  name: string,
  counter: Omit<PolicyCounter, 'name'> & { readonly direction: Direction },
  isEnforced: boolean,
): End {
  const [first = '', ...others] = counter.policies
  const what = [first, others.length > 0 ? `and ${others.length} more` : ''].filter((text) => text !== '')
  const log = `log prefix "${LOG_PREFIX}${name}" group ${DROP_LOG_GROUP} snaplen ${SNAP_LENGTH_BYTES}`
  const { direction } = counter
  const own = direction === 'ingress' ? 'daddr' : 'saddr'
  const rules = ([4, 6] as const).map((family) => {
    const address = `${family === 4 ? 'ip' : 'ip6'} ${own}`
    return marked(`update @${toldSet(direction, family)} { ${address} ${LOG_RATE} } ${log}`, ...what, counter.effect)
  })
  return {
    verb: isEnforced ? 'goto' : 'jump',
    chain: {
      name,
      rules: [...rules, marked(`counter name "${name}"${isEnforced ? ' drop' : ''}`, ...what, counter.effect)],
    },
    counter: { name, ...counter },
    what,
  }
}
