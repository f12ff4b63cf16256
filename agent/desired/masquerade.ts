import { ADDRESS_BITS, type Cidr, type Family, formatAddress, overlaps, parseCidr } from '../../ipam/address.ts'
import { block, type DefinedTable, ip, renderTable, rule } from './nftables-text.ts'

/**
 * Pods of this node that speak to the outside get the node's address, since nobody out there knows the way to theirs.
 * Never between pods, and never from node to pod. Conntrack asks these rules for the first packet of a flow only: what is
 * established keeps its address and port, whatever changes here.
 *
 * Which destinations are pods is found by hash: one set for each prefix length that is in use, which is one as a rule, of
 * the networks' first addresses. A set of intervals would do it in one; but for each element that comes or goes,
 * libnftables reads all of them: 20 ms at 5,000 nodes, where a hash takes 0.1 ms at any size.
 */

export const MASQUERADE_TABLE = 'inet bramble-masquerade'

export interface MasqueradeSettings {
  readonly isOn: boolean
  /** Destinations that see the pods' own addresses, besides the pods. They may overlap. */
  readonly exempt: readonly Cidr[]
}

/** Where this node's pods go without masquerading: the pods of one node, of one family. */
export interface MasqueradeElement {
  /** `pods4-24` */
  readonly set: string
  /** The first one of the network. */
  readonly address: string
}

export interface MasqueradeTable extends DefinedTable {
  /** What the table is made with, so that it is whole from its first packet on; afterwards they come and go by themselves. */
  readonly elements: readonly MasqueradeElement[]
}

export interface DesiredMasquerade {
  /** None or one. */
  readonly tables: readonly MasqueradeTable[]
  readonly elements: readonly MasqueradeElement[]
}

/**
 * What a pod says to its own link, or to all, is for nobody behind the node: link-local (RFC 3927, RFC 4291), multicast,
 * broadcast. They come as they are.
 */
const NEVER = ['169.254.0.0/16', '224.0.0.0/4', '255.255.255.255/32', 'fe80::/10', 'ff00::/8'].map(parseCidr)

/**
 * Pure.
 * @param own the pod CIDRs of this node
 * @param podCidrs those of all nodes; it does not matter whether the own ones are among them
 * @param clusterCidrs out of which nodes get theirs, where that is known: pods of a node that is not yet known are pods, too
 */
export function desiredMasquerade(
  { isOn, exempt }: MasqueradeSettings,
  own: readonly Cidr[],
  podCidrs: readonly Cidr[],
  clusterCidrs: readonly Cidr[] = [],
): DesiredMasquerade {
  if (!isOn || own.length === 0) return { tables: [], elements: [] }
  const elements = [...own, ...podCidrs].map(masqueradeElement)
  const definition = define(own, [...own, ...podCidrs], [...NEVER, ...exempt, ...clusterCidrs])
  return { tables: [{ definition, elements }], elements }
}

export function masqueradeElement(cidr: Cidr): MasqueradeElement {
  return { set: setOf(cidr), address: cidr.text.slice(0, cidr.text.indexOf('/')) }
}

/** With its elements, in one transaction. */
export function renderMasquerade(table: MasqueradeTable): string {
  const bySet = Map.groupBy(table.elements, ({ set }) => set)
  return [
    renderTable(MASQUERADE_TABLE, table),
    ...Array.from(bySet, ([set, members]) => renderElements('add', set, members)),
  ].join('\n')
}

/** @param elements of this set, at least one */
export function renderElements(verb: 'add' | 'delete', set: string, elements: readonly MasqueradeElement[]): string {
  const addresses = new Set(elements.map(({ address }) => address))
  return `${verb} element ${MASQUERADE_TABLE} ${set} { ${[...addresses].join(', ')} }`
}

function define(own: readonly Cidr[], podCidrs: readonly Cidr[], exempt: readonly Cidr[]): string {
  const sets = new Map(podCidrs.map((cidr) => [setOf(cidr), cidr]))
  const inOrder = [...sets].sort(([, a], [, b]) => a.family - b.family || a.prefixLength - b.prefixLength)
  return block(`table ${MASQUERADE_TABLE}`, [
    ...inOrder.flatMap(([name, { family }]) => block(`set ${name}`, [`type ipv${family}_addr`])),
    ...block('chain postrouting', [
      'type nat hook postrouting priority srcnat; policy accept;',
      ...own
        .toSorted((a, b) => a.family - b.family)
        .map(({ family, text }) => rule(`${ip(family)} saddr ${text} goto from-pods`, 'pods of this node')),
    ]),
    ...block('chain from-pods', [
      ...inOrder.map(([name, { family, prefixLength }]) =>
        rule(`${ip(family)} daddr & ${mask(family, prefixLength)} @${name} return`, 'to pods'),
      ),
      ...([4, 6] as const).map((family) => {
        const cidrs = outermost(exempt.filter((cidr) => cidr.family === family)).map(({ text }) => text)
        return rule(`${ip(family)} daddr { ${cidrs.join(', ')} } return`, 'as they are')
      }),
      // A free port at random, as kube-proxy and Flannel do it. The default keeps the pod's port where it can, and counts up
      // from there: of pods that ask one server at the same moment, two get the same one, and the second packet is lost.
      rule('masquerade fully-random', 'to the outside'),
    ]),
  ]).join('\n')
}

function setOf({ family, prefixLength }: Cidr): string {
  return `pods${family}-${prefixLength}`
}

function mask(family: Family, prefixLength: number): string {
  const hostBits = BigInt(ADDRESS_BITS[family] - prefixLength)
  return formatAddress(family, ((1n << BigInt(prefixLength)) - 1n) << hostBits)
}

/** Those that lie in no other, in order: nftables refuses elements that overlap. Two CIDRs overlap only if one holds the other. */
export function outermost(cidrs: readonly Cidr[]): Cidr[] {
  const kept: Cidr[] = []
  const inOrder = cidrs.toSorted(
    (a, b) => a.family - b.family || Number(a.first - b.first) || a.prefixLength - b.prefixLength,
  )
  for (const cidr of inOrder) {
    const last = kept.at(-1)
    if (!last || !overlaps(last, cidr)) kept.push(cidr)
  }
  return kept
}
