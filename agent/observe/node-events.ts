import type { Repair } from './recorder.ts'

/** What `kubectl describe node` tells of us, as Events on the Node. Pure. */

const REASONS = [
  'NetworkDegraded',
  'PoliciesNotEnforced',
  'AddressPoolExhausted',
  'OtherNetworkFirst',
  'DriftRepaired',
] as const
export type Reason = (typeof REASONS)[number]

/** One for each reason. */
export interface Occurrence {
  readonly reason: Reason
  readonly message: string
}

/** What is amiss at this moment, in words. */
export interface Trouble {
  /** Of the ways to other nodes, the ports of this one, and its pods' sides. */
  readonly degraded: readonly string[]
  /** Why the kernel does not have the policies. */
  readonly policies: readonly string[]
  readonly exhaustedCidrs: readonly string[]
  /** Other configurations that the runtime takes before ours. */
  readonly installation: readonly string[]
  /** Since the last look. */
  readonly repairs: readonly Repair[]
}

/** The API server cuts, or refuses, what is longer than 1024 bytes. */
const MESSAGE_CHARACTERS_MAX = 900
const SHOWN = 3

const LOOP_WORDS = {
  nodes: 'the network between nodes',
  pods: "pods' side on the node",
  policies: 'the table of policies',
} as const

export function eventsOf({ degraded, policies, exhaustedCidrs, installation, repairs }: Trouble): Occurrence[] {
  const exhausted = exhaustedCidrs.map((cidr) => `no address is free in ${cidr}: see bramblectl ipam`)
  const repaired = repairs.map((repair) => `another program changed ${damageOf(repair)}; it is whole again`)
  return [
    ...event('NetworkDegraded', degraded),
    ...event('PoliciesNotEnforced', policies),
    ...event('AddressPoolExhausted', exhausted),
    ...event('OtherNetworkFirst', installation),
    ...event('DriftRepaired', [...new Set(repaired)]),
  ]
}

/** What somebody did, and has been undone. */
export function damageOf({ loop, what }: Pick<Repair, 'loop' | 'what'>): string {
  return `${LOOP_WORDS[loop]} (${what})`
}

function event(reason: Reason, messages: readonly string[]): Occurrence[] {
  if (messages.length === 0) return []
  const more = messages.length > SHOWN ? `; and ${messages.length - SHOWN} more: bramblectl status` : ''
  const shown = messages.slice(0, SHOWN).map((message) => cut(message, MESSAGE_CHARACTERS_MAX / SHOWN))
  return [{ reason, message: shown.join('; ') + more }]
}

function cut(text: string, characters: number): string {
  return text.length <= characters ? text : `${text.slice(0, characters - 3)}...`.toWellFormed()
}
