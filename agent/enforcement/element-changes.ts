import type { ElementChange } from '../kernel/nft-elements.ts'
import { keyTypeOf } from '../policy/key-types.ts'
import type { PolicyChange } from '../policy/table.ts'

/** More is the library's, in a thread of its own: it has to fit into one system call, and that is carried out at once. */
const ELEMENTS_MAX = 1_000
const SETS_MAX = 50

/**
 * A change as elements alone, those that go before those that come. Pure.
 * @returns undefined where it is more than that, or too much of it
 */
export function elementChanges(change: PolicyChange): ElementChange[] | undefined {
  const { addedElements, removedElements, ...others } = change
  if (Object.values(others).some(({ length }) => length > 0)) return undefined
  const changes = [...ofOne('delete', removedElements), ...ofOne('add', addedElements)]
  const count = changes.reduce((sum, { elements }) => sum + elements.length, 0)
  return changes.length <= SETS_MAX && count <= ELEMENTS_MAX ? changes : undefined
}

function ofOne(verb: ElementChange['verb'], bySet: PolicyChange['addedElements']) {
  return Array.from(bySet, ([set, texts]) => {
    const elements = texts.map((text): [string, string] => {
      const [key = '', chain = ''] = text.split(' : jump ')
      return [key, chain]
    })
    return { verb, set, type: keyTypeOf(set), elements }
  })
}
