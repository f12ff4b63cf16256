import type { Direction, Peer, PortMatch, Rule } from './policy.ts'

/**
 * Of one direction of a policy. Each pair is up to four sets in the kernel; ten thousand of them would take the kernel half
 * a minute and half a gigabyte, and whoever may write one policy could keep all others waiting.
 */
export const PAIRS_MAX = 1_000
/** For messages: what to do. */
export const FEWER_PAIRS =
  'write those with the same ports as one, with labels that all of its peers have, or with CIDRs'
/** Numbers of ports are written into the rule of each peer, and cost less than a set. */
const NUMBERS_IN_PAIR = 10

/** How many of the rules, from the first on, the kernel is to hold. Pure. */
export function countHeld(rules: readonly Pick<Rule, 'peers' | 'ports'>[], direction: Direction): number {
  let pairs = 0
  const tooMany = rules.findIndex(({ peers, ports }) => {
    pairs += countPeers(peers) * countPorts(ports, direction)
    return pairs > PAIRS_MAX
  })
  return tooMany < 0 ? rules.length : tooMany
}

/** All ranges of a rule are one. */
function countPeers(peers: readonly Peer[] = []): number {
  const selectors = peers.filter(({ kind }) => kind !== 'ranges').length
  return Math.max(1, selectors + Number(selectors < peers.length))
}

/** The named ports of the pod that is called are numbers to itself; to those that call, each is a set. */
function countPorts(ports: readonly PortMatch[] = [], direction: Direction): number {
  const names = direction === 'egress' ? ports.filter((port) => 'name' in port).length : 0
  return Math.max(1, names + Math.ceil((ports.length - names) / NUMBERS_IN_PAIR))
}
