import type { Family } from '../../ipam/address.ts'
import { type Direction, type PortMatch, TIERS } from '../cluster/policy.ts'
import type { Evaluator, Verdict } from './evaluate.ts'
import { addressOf, type Member } from './parties.ts'
import { ICMP, type PortClass, portClasses } from './port-classes.ts'

/** More ports than so many in the rules of two ends are left out: people read it. */
const MATCHES_MAX = 100

/** What gets from one to another in one family. */
export interface Reach {
  readonly family: Family
  readonly classes: readonly PortClass[]
  /** Of each class. */
  readonly verdicts: ReadonlyMap<PortClass, Verdict>
}

/** A destination port as somebody asks about it. */
export interface AskedPort {
  readonly protocol: PortClass['protocol']
  /** Of ICMP 0; a name is one of the destination's. */
  readonly port: number | string
}

/** In each family that both have. */
export function reaches(evaluator: Evaluator, from: Member, to: Member, classes: readonly PortClass[]): Reach[] {
  return ([4, 6] as const).flatMap((family) => {
    const [source, destination] = [addressOf(from, family), addressOf(to, family)]
    if (source === undefined || destination === undefined) return []
    const verdicts = classes.map((one) => {
      const flow = { source, destination, protocol: one.protocol, destinationPort: one.first }
      return [one, evaluator.evaluate(flow)] as const
    })
    return [{ family, classes, verdicts: new Map(verdicts) }]
  })
}

/** The ports that may be told apart on the way between two, by the rules of any of the evaluators. */
export function portsBetween(evaluators: readonly Evaluator[], from: Member, to: Member): PortClass[] {
  const matches = evaluators.flatMap((one) => [...matchesOf(one, from, 'egress'), ...matchesOf(one, to, 'ingress')])
  return portClasses(matches.slice(0, MATCHES_MAX), to.pod?.pod.ports ?? [])
}

/** @returns none for a name that the destination has no port of */
export function askedPorts({ protocol, port }: AskedPort, to: Member): PortClass[] {
  if (protocol === 'ICMP') return [ICMP]
  const numbers =
    typeof port === 'number'
      ? [port]
      : (to.pod?.pod.ports ?? [])
          .filter((one) => one.name === port && one.protocol === protocol)
          .map(({ number }) => number)
  return [...new Set(numbers)].map((number) => ({ protocol, first: number, last: number, isRest: false }))
}

/** Those that get through. */
export function open({ verdicts }: Reach): Set<PortClass> {
  return new Set(Array.from(verdicts).flatMap(([one, { isAllowed }]) => (isAllowed ? [one] : [])))
}

function matchesOf({ policies }: Evaluator, { pod }: Member, direction: Direction): PortMatch[] {
  if (!pod) return []
  const deciding = policies.of(pod)[direction]
  return TIERS.flatMap((tier) => deciding[tier].flatMap((policy) => policy[direction] ?? [])).flatMap(
    ({ ports = [] }) => ports,
  )
}
