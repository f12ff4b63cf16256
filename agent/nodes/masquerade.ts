import {
  MASQUERADE_TABLE,
  type MasqueradeElement,
  type MasqueradeTable,
  renderElements,
  renderMasquerade,
} from '../desired/masquerade.ts'
import type { Nftables } from '../kernel/nftables.ts'
import { isNoSuchObject } from '../kernel/nftables-error.ts'
import type { Subsystem } from '../reconcile/subsystem.ts'
import { attempt, definedTable } from './defined-table.ts'

/** The table first: it brings the elements that it is made with, and is made anew only where its rules are others. */
export function masqueradeSubsystems(nftables: Pick<Nftables, 'run' | 'list' | 'show'>): {
  readonly table: Subsystem<MasqueradeTable>
  readonly elements: Subsystem<MasqueradeElement>
} {
  const table = definedTable(
    nftables,
    MASQUERADE_TABLE,
    (definition): MasqueradeTable => ({ definition, elements: [] }),
    renderMasquerade,
  )

  const elements: Subsystem<MasqueradeElement> = {
    name: 'nftables element',
    describe: ({ set, address }) => `nftables element ${address} of ${set} in ${MASQUERADE_TABLE}`,
    key: ({ set, address }) => `${set} ${address}`,
    equal: () => true,
    list: async () => {
      const sets = Array.from(
        (await nftables.show(`list table ${MASQUERADE_TABLE}`)).matchAll(/^\s*set (pods[46]-\d+) \{/gm),
        ([, name]) => name ?? '',
      )
      return (await Promise.all(sets.map((set) => listElements(nftables, set)))).flat()
    },
    put: (wanted) =>
      eachSet(
        wanted.map(({ desired }) => desired),
        (set, members) => nftables.run(renderElements('add', set, members)),
      ),
    // Adding what is to be deleted makes it no error when it is gone; gone with its set, it is gone, too.
    remove: (objects) =>
      eachSet(objects, async (set, members) => {
        try {
          await nftables.run([renderElements('add', set, members), renderElements('delete', set, members)].join('\n'))
        } catch (error) {
          if (!isNoSuchObject(error)) throw error
        }
      }),
  }

  return { table, elements }
}

async function listElements(nftables: Pick<Nftables, 'list'>, set: string): Promise<MasqueradeElement[]> {
  const [listed] = (await nftables.list(`list set ${MASQUERADE_TABLE} ${set}`)) as [{ set: { elem?: Element[] } }?]
  return (listed?.set.elem ?? []).map((one) => ({ set, address: typeof one === 'string' ? one : one.elem.val }))
}

/** The longer form where somebody has added a comment. */
type Element = string | { readonly elem: { readonly val: string } }

/** One transaction for each set. */
async function eachSet(
  elements: readonly MasqueradeElement[],
  work: (set: string, members: readonly MasqueradeElement[]) => Promise<void>,
): Promise<(Error | undefined)[]> {
  const errors = new Map<string, Error | undefined>()
  for (const [set, members] of Map.groupBy(elements, ({ set }) => set))
    errors.set(set, await attempt(() => work(set, members)))
  return elements.map(({ set }) => errors.get(set))
}
