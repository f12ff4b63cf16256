import type { Family } from '../../ipam/address.ts'
import type { AddressRange, PodSelection, Protocol, Selector } from '../cluster/policy.ts'
import { rangeText } from '../policy/ranges.ts'
import { hashOf } from './names.ts'

/** Whom a rule means, as far as it is told by a set: all rules that mean the same have the same one. */
export type Selection =
  | { readonly kind: 'pods'; readonly selection: PodSelection }
  /** Where the pods have their port of that name. */
  | { readonly kind: 'ports'; readonly selection: PodSelection; readonly name: string; readonly protocol?: Protocol }
  | { readonly kind: 'nodes'; readonly nodes: Selector }
  | { readonly kind: 'cidrs'; readonly ranges: readonly AddressRange[] }
  /** The tunnels' ends of the nodes that are in these ranges. */
  | { readonly kind: 'tunnels'; readonly ranges: readonly AddressRange[] }

/** A selection in a rule of one family, which has a set for it. */
export interface SetUse {
  readonly set: string
  readonly key: string
  readonly family: Family
  readonly selection: Selection
}

export const EVERY_POD: PodSelection = {
  namespaces: { text: '', requirements: [] },
  pods: { text: '', requirements: [] },
}

export function useOf(selection: Selection, family: Family): SetUse {
  const key = hashOf(...textsOf(selection))
  return { set: `${selection.kind}${family}-${key}`, key: `${selection.kind}-${key}`, family, selection }
}

/** The same for what selects the same, and for nothing else. */
function textsOf(selection: Selection): string[] {
  switch (selection.kind) {
    case 'pods':
      return podTexts(selection.selection)
    case 'ports':
      return [...podTexts(selection.selection), selection.name, selection.protocol ?? '']
    case 'nodes':
      return [selection.nodes.text]
    default:
      return selection.ranges.map(({ family, first, last }) => `${family} ${first.toString(36)} ${last.toString(36)}`)
  }
}

function podTexts({ namespaces, pods }: PodSelection): string[] {
  return [...(typeof namespaces === 'string' ? ['name', namespaces] : ['labels', namespaces.text]), pods.text]
}

/** Of what a set of the selection is, as nft writes it. */
export function typeOf({ kind }: Pick<Selection, 'kind'>, family: Family): string {
  return kind === 'ports' ? `ipv${family}_addr . inet_proto . inet_service` : `ipv${family}_addr`
}

/** For people. */
export function describeSelection(selection: Selection): string {
  switch (selection.kind) {
    case 'pods':
      return describePods(selection.selection)
    case 'ports': {
      const protocol = selection.protocol === undefined ? '' : ` (${selection.protocol})`
      return `port ${selection.name}${protocol} of ${describePods(selection.selection)}`
    }
    case 'nodes':
      return `nodes: ${selection.nodes.text || 'all'}`
    case 'cidrs':
      return describeRanges(selection.ranges)
    case 'tunnels':
      return `tunnels of nodes in ${describeRanges(selection.ranges)}`
  }
}

function describePods({ namespaces, pods }: PodSelection): string {
  const where = typeof namespaces === 'string' ? `namespace ${namespaces}` : `namespaces: ${namespaces.text || 'all'}`
  return `pods: ${pods.text || 'all'} in ${where}`
}

function describeRanges(ranges: readonly AddressRange[]): string {
  const more = ranges.length > 3 ? ` and ${ranges.length - 3} more` : ''
  return ranges.slice(0, 3).map(rangeText).join(', ') + more
}
