import type { Alike } from '../agent/api/policy-answers.ts'
import { renderTable } from './table.ts'

const NAMES_SHOWN = 8

/** Who stands behind `shop/web-0 (+3)`: those that no policy tells apart. Pure. @param label how each is found again */
export function alikeBlock(all: readonly (Omit<Alike, 'name'> & { readonly label: string })[]): string[] {
  const rows = all.flatMap(({ label, count, members }) => {
    if (count < 2) return []
    const names = members.slice(0, NAMES_SHOWN)
    return [[label, names.join(', ') + (count > names.length ? ` and ${count - names.length} more` : '')]]
  })
  return rows.length === 0 ? [] : [renderTable(['', 'ALIKE'], rows)]
}
