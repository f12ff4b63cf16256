import type { ElementChange } from '../kernel/nft-elements.ts'
import { keyTypeOf } from '../ruleset/key-types.ts'
import type { PolicyChange, PolicySet } from '../ruleset/table.ts'

/** More is the library's, in a thread of its own: it has to fit into one system call, and that is carried out at once. */
const ELEMENTS_MAX = 1_000
const SETS_MAX = 50
/** So many the library reads in as long as a transaction of its own takes. */
const ELEMENTS_APART_MIN = 100

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

/**
 * New sets with many elements, and the change without them: as nothing looks into them yet, they can be made empty and
 * filled before, in messages of which each is quickly carried out. Pure.
 */
export function setsApart(change: PolicyChange): {
  readonly sets: readonly PolicySet[]
  readonly fillings: readonly ElementChange[]
  readonly rest: PolicyChange
} {
  const isApart = ({ isInterval, elements }: PolicySet) => !isInterval && elements.size >= ELEMENTS_APART_MIN
  const { true: apart = [], false: addedSets = [] } = Object.groupBy(change.addedSets, (set) => `${isApart(set)}`)
  return {
    sets: apart.map(({ name, type, isInterval, comment }) => ({
      name,
      type,
      isInterval,
      comment,
      elements: new Set(),
    })),
    fillings: apart.flatMap(({ name, type, elements }) => filled(name, type, [...elements])),
    rest: { ...change, addedSets },
  }
}

function filled(set: string, type: string, keys: readonly string[]): ElementChange[] {
  return Array.from({ length: Math.ceil(keys.length / ELEMENTS_MAX) }, (_, part) => {
    const some = keys.slice(part * ELEMENTS_MAX, (part + 1) * ELEMENTS_MAX)
    return { verb: 'add', set, type, elements: some.map((key): [string, string] => [key, '']) }
  })
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
