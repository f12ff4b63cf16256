import type { Family } from '../../ipam/address.ts'
import { merge } from '../cluster/address-ranges.ts'
import type { Direction, Peer, PortMatch, Protocol, Rule } from '../cluster/policy.ts'
import type { NamedPort } from '../cluster/workloads.ts'
import { rangeText } from '../policy/ranges.ts'
import { EVERY_POD, type Selection, type SetUse, useOf } from './selection.ts'
import type { TunnelEnds } from './tunnel-ends.ts'

/** A set costs the kernel and libnftables three times what a rule does, and a packet no less than two rules. */
const RANGES_INLINE_MAX = 2

/** The pods that a chain is for, and what else its rules depend on. */
export interface Subject {
  readonly direction: Direction
  readonly families: readonly Family[]
  /** Those that have a name, of the pods themselves. */
  readonly ports: readonly NamedPort[]
  readonly tunnelEnds: Pick<TunnelEnds, 'familiesIn'>
}

/** What a packet is compared with, in the language of nft; '' is every packet. */
export interface Match {
  readonly text: string
  readonly sets: readonly SetUse[]
  /** Absent: it does not ask for an address. */
  readonly family?: Family
}

const EVERY_PACKET: Match = { text: '', sets: [] }

type NumberMatch = Extract<PortMatch, { readonly first: number }>
type NameMatch = Extract<PortMatch, { readonly name: string }>

/** A packet is meant by the rule if any of these fits: a peer and a port, each in every way that there is. Pure. */
export function matchesOf({ peers, ports }: Pick<Rule, 'peers' | 'ports'>, subject: Subject): Match[] {
  const addresses = peers === undefined ? [EVERY_PACKET] : peersOf(peers).flatMap((peer) => peerMatches(peer, subject))
  if (ports === undefined) return addresses
  const numbered = numberMatches([...ports.filter(isNumber), ...ownPorts(ports, subject)])
  return [
    ...numbered.flatMap((port) => addresses.map((address) => joined(port, address))),
    ...(subject.direction === 'ingress' ? [] : ports.filter(isName).flatMap((port) => named(port, peers, subject))),
  ]
}

/** All ranges of a rule are one peer, so that thousands of CIDRs are one look-up. */
function peersOf(peers: readonly Peer[]): Peer[] {
  const ranges = merge(peers.flatMap((peer) => (peer.kind === 'ranges' ? peer.ranges : [])))
  const others = peers.filter(({ kind }) => kind !== 'ranges')
  return ranges.length > 0 ? [...others, { kind: 'ranges', ranges }] : others
}

function peerMatches(peer: Peer, subject: Subject): Match[] {
  const inSet = (selection: Selection, families = subject.families) =>
    families.map((family) => {
      const use = useOf(selection, family)
      return addressMatch(subject, family, `@${use.set}`, [use])
    })
  switch (peer.kind) {
    case 'pods':
      return inSet({ kind: 'pods', selection: peer.selection })
    case 'nodes':
      return inSet({ kind: 'nodes', nodes: peer.nodes })
    case 'ranges': {
      const { ranges } = peer
      const ends = subject.tunnelEnds.familiesIn(ranges)
      return [
        ...subject.families.flatMap((family) => {
          // A set has one family: so those of one are named by themselves.
          const some = ranges.filter((range) => range.family === family)
          if (some.length > RANGES_INLINE_MAX) return inSet({ kind: 'cidrs', ranges: some }, [family])
          return some.map((range) => addressMatch(subject, family, rangeText(range)))
        }),
        ...inSet(
          { kind: 'tunnels', ranges },
          subject.families.filter((family) => ends.includes(family)),
        ),
      ]
    }
  }
}

function addressMatch({ direction }: Subject, family: Family, what: string, sets: readonly SetUse[] = []): Match {
  return { text: `${ip(family)} ${direction === 'ingress' ? 'saddr' : 'daddr'} ${what}`, sets, family }
}

/** Those of the destination pod, which on ingress is the subject itself: its numbers are known. */
function ownPorts(ports: readonly PortMatch[], { direction, ports: own }: Subject): NumberMatch[] {
  if (direction === 'egress') return []
  return ports
    .filter(isName)
    .flatMap(({ name, protocol }) =>
      own
        .filter((port) => port.name === name && (protocol === undefined || port.protocol === protocol))
        .map((port) => ({ protocol: port.protocol, first: port.number, last: port.number })),
    )
}

/** Addresses and numbers of the pods that have such a port: of those selected, or of any pod that a range or a node's address is. */
function named({ name, protocol }: NameMatch, peers: readonly Peer[] | undefined, subject: Subject): Match[] {
  const ports = (selection = EVERY_POD) =>
    subject.families.map((family) => {
      const use = useOf({ kind: 'ports', selection, name, ...(protocol && { protocol }) }, family)
      return { text: `${ip(family)} daddr . meta l4proto . th dport @${use.set}`, sets: [use], family }
    })
  if (peers === undefined) return ports()
  return peersOf(peers).flatMap((peer) =>
    peer.kind === 'pods'
      ? ports(peer.selection)
      : peerMatches(peer, subject).flatMap((address) =>
          ports()
            .filter(({ family }) => family === address.family)
            .map((one) => joined(address, one)),
        ),
  )
}

function numberMatches(ports: readonly NumberMatch[]): Match[] {
  const byProtocol = Map.groupBy(ports, ({ protocol }) => protocol)
  return Array.from(byProtocol, ([protocol, some]) => ({ text: portText(protocol, some), sets: [] }))
}

function portText(protocol: Protocol, ports: readonly NumberMatch[]): string {
  const texts = mergedPorts(ports).map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`))
  return `${protocol.toLowerCase()} dport ${texts.length === 1 ? texts[0] : `{ ${texts.join(', ')} }`}`
}

/** nftables refuses elements that overlap. */
function mergedPorts(ports: readonly NumberMatch[]): Pick<NumberMatch, 'first' | 'last'>[] {
  const merged: { first: number; last: number }[] = []
  for (const { first, last } of ports.toSorted((a, b) => a.first - b.first)) {
    const before = merged.at(-1)
    if (!before || first > before.last + 1) merged.push({ first, last })
    else before.last = Math.max(before.last, last)
  }
  return merged
}

function joined(a: Match, b: Match): Match {
  return { text: [a.text, b.text].filter((text) => text !== '').join(' '), sets: [...a.sets, ...b.sets] }
}

function ip(family: Family): string {
  return family === 4 ? 'ip' : 'ip6'
}

function isNumber(port: PortMatch): port is NumberMatch {
  return 'first' in port
}

function isName(port: PortMatch): port is NameMatch {
  return 'name' in port
}
