import { outlineOf } from '../desired/masquerade-outline.ts'
import { type DefinedTable, renderTable, withoutTable } from '../desired/nftables-text.ts'
import type { Nftables } from '../kernel/nftables.ts'
import type { Subsystem } from '../reconcile/subsystem.ts'

/**
 * One table of nftables, of which there is none or one.
 * @param table family and name
 * @param render the commands that make it, in the place of one that is there
 */
export function definedTable<Table extends DefinedTable = DefinedTable>(
  nftables: Pick<Nftables, 'run' | 'show'>,
  table: string,
  listed: (definition: string) => Table,
  render: (desired: Table) => string = (desired) => renderTable(table, desired),
): Subsystem<Table> {
  return {
    name: 'nftables table',
    describe: () => `nftables table ${table}`,
    key: () => table,
    equal: (a, b) => outlineOf(a.definition) === outlineOf(b.definition),
    list: async () => {
      const definition = await nftables.show(`list table ${table}`)
      return definition === '' ? [] : [listed(definition)]
    },
    put: (wanted) => Promise.all(wanted.map(({ desired }) => attempt(() => nftables.run(render(desired))))),
    remove: (tables) => Promise.all(tables.map(() => attempt(() => nftables.run(withoutTable(table).join('\n'))))),
  }
}

export async function attempt(work: () => Promise<void>): Promise<Error | undefined> {
  try {
    await work()
    return undefined
  } catch (error) {
    return error as Error
  }
}
