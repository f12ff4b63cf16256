import { HERE_SETS } from './here.ts'
import { LOCAL_MAPS, LOCAL_SETS } from './local-elements.ts'
import { type Selection, typeOf } from './selection.ts'

const OWN: Readonly<Record<string, string>> = { ...HERE_SETS, ...LOCAL_SETS, ...LOCAL_MAPS }
/** As useOf() names them. */
const SELECTION = /^([a-z]+)([46])-/

/** The type of the keys of a set or map, by its name. */
export function keyTypeOf(name: string): string {
  const [, kind, family] = SELECTION.exec(name) ?? []
  return OWN[name] ?? typeOf({ kind: kind as Selection['kind'] }, family === '6' ? 6 : 4)
}
