import { type Family, familyOf, formatAddress, numberOf } from '../../ipam/address.ts'
import { merge } from '../cluster/address-ranges.ts'
import type { AddressRange, Policy } from '../cluster/policy.ts'
import { type Identities, type KnownPod, namedAddresses } from './identities.ts'
import type { PolicyInput } from './input.ts'
import { nodeClasses, type PlacedPod, type PodClass, podClasses } from './pod-classes.ts'
import { isWithin, rangeText } from './ranges.ts'

/** Somebody who sends and gets packets. */
export interface Member {
  /** `namespace/name`, a node's name, an address. */
  readonly name: string
  readonly addresses: readonly string[]
  readonly pod?: KnownPod
  /** Where it is, or which node it is. */
  readonly nodeName?: string
}

/** Some that no policy tells apart. */
export interface Party {
  readonly kind: 'pods' | 'nodes' | 'outside'
  /** For people. */
  readonly name: string
  readonly members: readonly [Member, ...Member[]]
}

/** What stands for all that is outside: addresses that nobody writes a rule for. */
export const WORLD: Readonly<Record<Family, string>> = { 4: '1.2.3.4', 6: '2a00::1' }
export const THE_WORLD: Party = {
  kind: 'outside',
  name: 'world',
  members: [{ name: 'world', addresses: Object.values(WORLD) }],
}

type Told = Pick<PolicyInput, 'workloads' | 'nodes'>

/** Pods with addresses of their own, in the order of their names. */
export function placedPods({ workloads }: Told, identities: Identities): PlacedPod[] {
  return Array.from(workloads.pods, ([key, pod]) => ({
    key,
    pod,
    namespace: workloads.namespaces.get(pod.namespace),
    addresses: identities.addressesOf(key),
  }))
    .filter(({ addresses }) => addresses.length > 0)
    .sort((a, b) => (a.key < b.key ? -1 : 1))
}

/** @param isByNamespace none has pods of two namespaces */
export function podParties(
  pods: readonly PlacedPod[],
  policies: Iterable<Policy>,
  options: { readonly isByNamespace?: boolean } = {},
): Party[] {
  const addresses = new Map(pods.map((pod) => [pod.key, pod.addresses]))
  return podClasses(pods, policies, options).map(({ pods: [first, ...more] }: PodClass) => {
    const member = (pod: KnownPod): Member => ({
      name: pod.key,
      addresses: addresses.get(pod.key) ?? [],
      pod,
      nodeName: pod.pod.nodeName,
    })
    return { kind: 'pods', name: nameOf(first.key, more.length), members: [member(first), ...more.map(member)] }
  })
}

export function nodeParties({ nodes }: Told, policies: Iterable<Policy>): Party[] {
  const reached = [...nodes.values()].filter((node) => namedAddresses(node).length > 0)
  return nodeClasses(reached, policies).map(([first, ...more]) => {
    const member = (node: typeof first): Member => ({
      name: node.name,
      addresses: namedAddresses(node),
      nodeName: node.name,
    })
    return {
      kind: 'nodes',
      name: `node ${nameOf(first.name, more.length)}`,
      members: [member(first), ...more.map(member)],
    }
  })
}

/**
 * The world, and what these policies single out of it: of each range that they know one address that nobody in the
 * cluster has.
 * @param most so many ranges of each family
 */
export function outsideParties(policies: Iterable<Policy>, identities: Identities, most: number): Party[] {
  const ranges = [...policies].flatMap(({ ingress = [], egress = [] }) =>
    [...ingress, ...egress].flatMap(({ peers = [] }) =>
      peers.flatMap((peer) => (peer.kind === 'ranges' ? peer.ranges : [])),
    ),
  )
  const parts = ([4, 6] as const).flatMap((family) => split(merge(ranges), ranges, family).slice(0, most))
  const parties = parts.flatMap((range): Party[] => {
    const address = strangerIn(range, identities)
    if (address === undefined) return []
    return [{ kind: 'outside', name: rangeText(range), members: [{ name: address, addresses: [address] }] }]
  })
  return [THE_WORLD, ...parties]
}

/** Where ranges overlap, what is in each of them, without those that have the world's address: it speaks for them. */
function split(covered: readonly AddressRange[], ranges: readonly AddressRange[], family: Family): AddressRange[] {
  const ofFamily = ranges.filter((range) => range.family === family)
  const bounds = new Set(ofFamily.flatMap(({ first, last }) => [first, last + 1n]))
  const firsts = [...bounds].sort((a, b) => (a < b ? -1 : 1))
  return firsts
    .slice(0, -1)
    .map((first, index) => ({ family, first, last: (firsts[index + 1] ?? 0n) - 1n }))
    .filter((part) => isWithin(covered, family, part.first) && !isWithin([part], family, numberOf(WORLD[family])))
}

/** Pods and nodes are told by their names. */
function strangerIn({ family, first, last }: AddressRange, identities: Identities): string | undefined {
  for (let number = last; number >= first && number > last - 16n; number--) {
    const address = formatAddress(family, number)
    const { pods, nodes, local } = identities.at(address)
    if (pods.length === 0 && nodes.length === 0 && !local) return address
  }
  return undefined
}

export function nameOf(first: string, more: number): string {
  return more === 0 ? first : `${first} (+${more})`
}

/** One of each that are two, and of which none is the other's node, where there are such. */
export function pairOf(from: Party, to: Party): readonly [Member, Member] | undefined {
  const [first] = from.members
  const isOwnNode = (one: Member, other: Member) => !(one.pod && other.pod) && one.nodeName === other.nodeName
  const others = to.members.filter(({ name }) => from.kind !== to.kind || name !== first.name)
  const other = others.find((one) => first.nodeName === undefined || !isOwnNode(first, one)) ?? others[0]
  if (!other) return undefined
  const better = from.members.find((one) => one.nodeName === undefined || !isOwnNode(one, other))
  return [isOwnNode(first, other) && better && better.name !== other.name ? better : first, other]
}

export function addressOf({ addresses }: Member, family: Family): string | undefined {
  return addresses.find((address) => familyOf(address) === family)
}
