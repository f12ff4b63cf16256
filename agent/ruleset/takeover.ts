import { elementText } from './render.ts'
import type { PolicyChange, PolicyTable } from './table.ts'

/** A table by the names in it; what a chain, a set or a map is, its name tells. */
export interface TableInKernel {
  readonly chains: ReadonlySet<string>
  readonly counters: ReadonlySet<string>
  readonly sets: ReadonlyMap<string, ReadonlySet<string>>
  /** Key to chain. */
  readonly maps: ReadonlyMap<string, ReadonlyMap<string, string>>
}

/**
 * From the table of an earlier agent to the one that is wanted, piece by piece. If the whole were made anew, single packets
 * would meet neither: the kernel asks for each look-up in a map by itself which generation of the ruleset is in force, so a
 * packet may be with the old rules and find their map empty already (nft_set_elem_active() in nf_tables.h). What only changes
 * its elements has the old or the new one at each moment. Pure.
 */
export function takeover(there: TableInKernel, table: PolicyTable): PolicyChange {
  const addedElements = new Map<string, string[]>()
  const removedElements = new Map<string, string[]>()
  const compare = (name: string, before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>) => {
    const added = [...after].filter(([key, chain]) => before.get(key) !== chain).map(elementText)
    const removed = [...before].filter(([key, chain]) => after.get(key) !== chain).map(([key]) => key)
    if (added.length > 0) addedElements.set(name, added)
    if (removed.length > 0) removedElements.set(name, removed)
  }
  for (const { name, elements } of table.maps.values()) compare(name, there.maps.get(name) ?? new Map(), elements)
  for (const { name, elements, isInterval } of table.sets.values()) {
    const before = there.sets.get(name)
    if (before && !isInterval) compare(name, asMap(before), asMap(elements))
  }
  return {
    addedChains: [...table.chains.values()].filter(({ name }) => !there.chains.has(name)),
    removedChains: [...there.chains].filter((name) => !table.chains.has(name)),
    addedSets: [...table.sets.values()].filter(({ name }) => !there.sets.has(name)),
    removedSets: [...there.sets.keys()].filter((name) => !table.sets.has(name)),
    addedCounters: [...table.counters.values()].filter(({ name }) => !there.counters.has(name)),
    removedCounters: [...there.counters].filter((name) => !table.counters.has(name)),
    addedElements,
    removedElements,
  }
}

function asMap(elements: ReadonlySet<string>): Map<string, string> {
  return new Map(Array.from(elements, (element) => [element, '']))
}
