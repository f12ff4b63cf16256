import type { LocalElements } from './local-elements.ts'
import { elementText } from './render.ts'
import type { PolicyChange } from './table.ts'

export type ElementDifference = Pick<PolicyChange, 'addedElements' | 'removedElements'>

/** What comes and what goes, by set or map; an element with another chain does both. Pure. */
export function elementDifference(before: LocalElements, after: LocalElements): ElementDifference {
  const addedElements = new Map<string, readonly string[]>()
  const removedElements = new Map<string, readonly string[]>()
  for (const name of new Set([...before.keys(), ...after.keys()])) {
    const [old, now] = [before.get(name) ?? NONE, after.get(name) ?? NONE]
    const added = [...now].filter(([element, chain]) => old.get(element) !== chain)
    const removed = [...old].filter(([element, chain]) => now.get(element) !== chain)
    if (added.length > 0) addedElements.set(name, added.map(elementText))
    if (removed.length > 0) {
      const keys = removed.map(([element]) => element)
      removedElements.set(name, keys)
    }
  }
  return { addedElements, removedElements }
}

/** With elements of sets that the change is not about. */
export function withElements(change: PolicyChange, elements: ElementDifference): PolicyChange {
  return {
    ...change,
    addedElements: new Map([...change.addedElements, ...elements.addedElements]),
    removedElements: new Map([...change.removedElements, ...elements.removedElements]),
  }
}

const NONE: ReadonlyMap<string, string> = new Map()
