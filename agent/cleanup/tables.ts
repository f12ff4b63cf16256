import { Nftables } from '../kernel/nftables.ts'
import { isOurTable } from '../ownership.ts'
import type { Found, Step } from './step.ts'

/** As `nft` names it: `inet bramble`. */
export interface FoundTable extends Found {
  readonly table: string
}

/** nftables tables of all families, with all that is in them. */
export function tables(): Step<FoundTable> {
  return {
    name: 'nftables tables',
    list: () =>
      withNftables(async (nftables) =>
        (await nftables.show('list tables')).split('\n').flatMap((line) => {
          const [, family, name = ''] = line.split(' ')
          return isOurTable(name) ? [{ text: line, table: `${family} ${name}` }] : []
        }),
      ),
    remove: (found) =>
      withNftables((nftables) =>
        // One by one: a refusal of one in a transaction is a refusal of all.
        Promise.all(
          found.map(({ table }) =>
            nftables.run(`delete table ${table}`).then(
              () => undefined,
              (error: Error) => error,
            ),
          ),
        ),
      ),
  }
}

/** The library is loaded only now: without it, all else of a clean-up goes on. @throws NftablesError */
async function withNftables<T>(work: (nftables: Nftables) => Promise<T>): Promise<T> {
  const nftables = Nftables.load()
  try {
    return await work(nftables)
  } finally {
    await nftables.close()
  }
}
