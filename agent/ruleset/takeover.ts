import { elementDifference } from './element-difference.ts'
import type { ChainOutline } from './outline.ts'
import type { PolicyChange, PolicyTable } from './table.ts'

/** A table by the names in it; what a set or a map is, its name tells. */
export interface TableInKernel {
  readonly chains: ReadonlyMap<string, ChainOutline>
  readonly counters: ReadonlySet<string>
  readonly sets: ReadonlyMap<string, ReadonlySet<string>>
  /** Key to chain. */
  readonly maps: ReadonlyMap<string, ReadonlyMap<string, string>>
}

/**
 * From the table of an earlier agent, or one that somebody has spoilt, to the one that is wanted, piece by piece. If the
 * whole were made anew, single packets would meet neither: new base chains are hooked before the old ones, and are empty
 * until the generation of the ruleset changes, so a packet that is between the two then has left the one and finds nothing
 * in the other (nf_tables_addchain() and nf_tables_commit() in nf_tables_api.c); and the kernel asks for each look-up in a
 * map by itself which generation is in force, so a packet may be with the old rules and find their map empty already
 * (nft_set_elem_active() in nf_tables.h). A chain that gets other rules, or a map that gets other elements, has the old or
 * the new ones at each moment. Pure.
 * @param outlines of the chains of the table that is wanted, as they are written
 */
export function takeover(
  there: TableInKernel,
  table: PolicyTable,
  outlines: ReadonlyMap<string, ChainOutline>,
): PolicyChange {
  const before = new Map([...there.maps, ...Array.from(there.sets, ([name, set]) => [name, asMap(set)] as const)])
  const after = new Map(Array.from(table.maps.values(), ({ name, elements }) => [name, elements]))
  for (const { name, elements, isInterval, isDynamic } of table.sets.values())
    if (there.sets.has(name) && !isInterval && !isDynamic) after.set(name, asMap(elements))
  const chains = [...table.chains.values()]
  return {
    addedChains: chains.filter(({ name }) => !there.chains.has(name)),
    rewrittenChains: chains.filter(({ name }) => isRewritten(there.chains.get(name), outlines.get(name))),
    removedChains: [...there.chains.keys()].filter((name) => !table.chains.has(name)),
    addedSets: [...table.sets.values()].filter(({ name }) => !there.sets.has(name)),
    removedSets: [...there.sets.keys()].filter((name) => !table.sets.has(name)),
    addedCounters: [...table.counters.values()].filter(({ name }) => !there.counters.has(name)),
    removedCounters: [...there.counters].filter((name) => !table.counters.has(name)),
    ...elementDifference(new Map([...before].filter(([name]) => after.has(name))), after),
  }
}

/** A chain that is hooked elsewhere cannot be; the table has to be made anew. */
function isRewritten(there: ChainOutline | undefined, wanted: ChainOutline | undefined): boolean {
  return there !== undefined && there.hook === wanted?.hook && there.rules !== wanted.rules
}

function asMap(elements: ReadonlySet<string>): Map<string, string> {
  return new Map(Array.from(elements, (element) => [element, '']))
}
