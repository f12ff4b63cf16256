import { elementText } from '../policy/render.ts'
import type { PolicyChange, PolicyTable } from '../policy/table.ts'

/**
 * What a table has in the sets and maps that another one has not, as a change of elements alone: it can be made to a table
 * of which no more is known than that it has those sets and maps. Pure.
 */
export function newElements(before: PolicyTable, after: PolicyTable): PolicyChange {
  const addedElements = new Map<string, string[]>()
  const add = (name: string, elements: string[]) => {
    if (elements.length > 0) addedElements.set(name, elements)
  }
  for (const { name, elements } of after.sets.values())
    add(
      name,
      [...elements].filter((element) => !before.sets.get(name)?.elements.has(element)),
    )
  for (const { name, elements } of after.maps.values())
    add(name, [...elements].filter(([element]) => !before.maps.get(name)?.elements.has(element)).map(elementText))
  return {
    addedSets: [],
    removedSets: [],
    addedChains: [],
    removedChains: [],
    addedCounters: [],
    removedCounters: [],
    addedElements,
    removedElements: new Map(),
  }
}
