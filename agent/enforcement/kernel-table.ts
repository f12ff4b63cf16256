import { ADDRESS_BITS, familyOf } from '../../ipam/address.ts'
import { parseRange } from '../cluster/address-ranges.ts'
import { IdleMemory } from '../idle-memory.ts'
import type { Nftables } from '../kernel/nftables.ts'
import { chainOutlines, listedElement, outline } from '../ruleset/outline.ts'
import { renderChange, renderNewSet, renderTable, withoutLogs } from '../ruleset/render.ts'
import { type CounterValue, POLICY_TABLE, type PolicyChange, type PolicyTable } from '../ruleset/table.ts'
import { type TableInKernel, takeover } from '../ruleset/takeover.ts'
import { elementChanges, setsApart } from './element-changes.ts'

type Nft = Pick<Nftables, 'run' | 'changeElements' | 'list' | 'show'>

/** How closely the table is looked at: its rules are quickly listed, the elements of its sets may be tens of thousands. */
export type Look = 'rules' | 'everything'

/** The table of policies in the kernel. */
export class KernelTable {
  readonly #nft: Nft
  readonly #idleMemory = new IdleMemory()
  /** The kernel takes rules that log. */
  canLog = true

  constructor(nft: Nft) {
    this.#nft = nft
  }

  /** undefined: there is no table. */
  async chainNames(): Promise<ReadonlySet<string> | undefined> {
    const text = await this.#nft.show(`list table ${POLICY_TABLE}`)
    return text === '' ? undefined : new Set(namesIn(text, 'chain'))
  }

  /** The whole of it, in one transaction; counters go on from where they are. @throws NftablesError */
  async replace(table: PolicyTable): Promise<void> {
    await this.#run(renderTable(table, await this.counters()))
  }

  /**
   * In the place of what an earlier agent left, or of what somebody has spoilt: what is the same stays, the rest is changed
   * piece by piece, and no packet gets through that neither of the two tables lets through. Where that cannot be done
   * (base chains are hooked elsewhere, a set is of another type), the whole is made anew. @throws NftablesError
   */
  async takeOver(table: PolicyTable): Promise<void> {
    const there = await this.#present()
    if (!there) return this.replace(table)
    const change = takeover(there, table, chainOutlines(this.#text(renderTable(table))))
    const isTaken = await this.change(change).then(
      () => true,
      () => false,
    )
    if (!isTaken || (await this.damage(table, 'everything')) !== undefined) await this.replace(table)
  }

  async #present(): Promise<TableInKernel | undefined> {
    const text = await this.#nft.show(`list table ${POLICY_TABLE}`)
    if (text === '') return undefined
    const sets = new Map<string, ReadonlySet<string>>()
    for (const name of namesIn(text, 'set'))
      sets.set(name, new Set((await this.elements('set', name)).map(([key]) => key)))
    const maps = new Map<string, ReadonlyMap<string, string>>()
    for (const name of namesIn(text, 'map')) maps.set(name, new Map(await this.elements('map', name)))
    return { chains: chainOutlines(text), counters: new Set(namesIn(text, 'counter')), sets, maps }
  }

  /** @throws NftablesError, and the rules are as they were: perhaps somebody has changed the table */
  async change(change: PolicyChange): Promise<void> {
    const elements = elementChanges(change)
    if (elements) return this.#nft.changeElements(POLICY_TABLE, elements)
    const { sets, fillings, rest } = setsApart(change)
    if (sets.length > 0) await this.#run(sets.map(renderNewSet).join('\n'))
    for (const filling of fillings) await this.#nft.changeElements(POLICY_TABLE, [filling])
    await this.#run(renderChange(rest))
  }

  /** How it differs from what it should be, in words; undefined where it does not. */
  async damage(table: PolicyTable, look: Look): Promise<string | undefined> {
    const text = await this.#nft.show(`list table ${POLICY_TABLE}`)
    if (text === '') return 'the table is gone'
    if (outline(text) !== outline(this.#text(renderTable(table)))) return 'chains or sets are not as they were made'
    if (look === 'rules') return undefined
    for (const { name, elements, isInterval, isDynamic } of table.sets.values()) {
      if (isDynamic) continue
      const there = await this.elements('set', name)
      const wanted = isInterval ? new Set(Array.from(elements, bounds)) : elements
      const isSame = there.every(([one]) => wanted.has(isInterval ? bounds(one) : one))
      if (!isSame || there.length !== elements.size) return `the set ${name} has other elements`
    }
    for (const { name, elements } of table.maps.values()) {
      const there = await this.elements('map', name)
      const isSame = there.length === elements.size && there.every(([key, chain]) => elements.get(key) === chain)
      if (!isSame) return `the map ${name} has other elements`
    }
    return undefined
  }

  async counters(): Promise<ReadonlyMap<string, CounterValue>> {
    const objects = await this.#nft.list(`list counters table ${POLICY_TABLE}`)
    return new Map(
      objects.flatMap((object) => {
        const { name, packets, bytes } = (object as { counter?: { name: string } & CounterValue }).counter ?? {}
        return name === undefined || packets === undefined || bytes === undefined ? [] : [[name, { packets, bytes }]]
      }),
    )
  }

  /** The library takes twenty times the text in memory, and leaves it to the heap. */
  async #run(rendered: string): Promise<void> {
    this.#idleMemory.touched()
    await this.#nft.run(this.#text(rendered))
  }

  #text(rendered: string): string {
    return this.canLog ? rendered : withoutLogs(rendered)
  }

  /** With the chain where it is one of a map; '' for those that we never write. */
  async elements(kind: 'set' | 'map', name: string): Promise<(readonly [element: string, chain: string])[]> {
    const [listed] = await this.#nft.list(`list ${kind} ${POLICY_TABLE} ${name}`)
    const { elem = [] } = (listed as Partial<Record<string, { elem?: unknown[] }>> | undefined)?.[kind] ?? {}
    return elem.map((element) => listedElement(element) ?? ['', ''])
  }
}

/** Of ranges the library makes prefixes and single addresses as it likes. */
function bounds(element: string): string {
  const [first = '', last = first] = element.split('-')
  const [from, to] = [first, last].map((text) =>
    parseRange(text.includes('/') ? text : `${text}/${ADDRESS_BITS[familyOf(text)]}`),
  )
  return `${from?.first}-${to?.last}`
}

/** @param text of a table, as nft lists it */
function namesIn(text: string, kind: 'chain' | 'set' | 'map' | 'counter'): string[] {
  return Array.from(text.matchAll(new RegExp(`^\\t${kind} (\\S+) \\{$`, 'gm')), ([, name = '']) => name)
}
