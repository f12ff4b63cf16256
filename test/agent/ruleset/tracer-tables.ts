import {
  type Chain,
  type Collection,
  contentsOf,
  copyOf,
  type Element,
  type Hook,
  refuseDangling,
  shapeOf,
  type Table,
  usersOf,
} from './tracer-contents.ts'
import { parseList, parseRule, parseTuple, parseVerdict, refuseOverlaps } from './tracer-rule.ts'
import { TokenReader } from './tracer-tokens.ts'
import { type NumberRange, TracerError } from './tracer-values.ts'

/**
 * A ruleset of nftables, made by the same text as the kernel's, a transaction at a time: all of it or nothing. It refuses
 * what the kernel refuses of names: what is used and deleted, what is not there, what is there already.
 */

/** nft(8), "Standard priority names". */
const PRIORITIES: Readonly<Record<string, number>> = { raw: -300, mangle: -150, dstnat: -100, filter: 0, srcnat: 100 }

export class Ruleset {
  #tables = new Map<string, Table>()

  get tables(): readonly Table[] {
    return [...this.#tables.values()]
  }

  /** @throws TracerError, and then nothing has changed */
  apply(text: string): void {
    const before = this.#tables
    this.#tables = new Map(Array.from(before, ([key, table]) => [key, copyOf(table)]))
    try {
      const tokens = new TokenReader(text)
      for (tokens.skipLines(); !tokens.isDone; tokens.skipLines()) this.#command(tokens)
      for (const table of this.tables) refuseDangling(table)
    } catch (error) {
      this.#tables = before
      throw error
    }
  }

  /** All that is in it, in one order whatever was done to get there. */
  get contents(): readonly string[] {
    return this.tables.flatMap(contentsOf).toSorted()
  }

  #command(tokens: TokenReader): void {
    const verb = tokens.peek() === 'table' ? 'add' : tokens.word()
    if (verb === 'add') this.#add(tokens)
    else if (verb === 'delete') this.#delete(tokens)
    else if (verb === 'destroy') this.#delete(tokens, true)
    else if (verb === 'flush') this.#flush(tokens)
    else throw new TracerError(`the command "${verb}" is not known to the tracer`)
  }

  #add(tokens: TokenReader): void {
    const kind = tokens.word()
    if (kind === 'table') {
      this.#addTable(tokens)
      return
    }
    const table = this.#table(tokens)
    if (kind === 'rule') chainOf(table, tokens.word()).rules.push(parseRule(tokens))
    else if (kind === 'element') addElements(collectionOf(table, tokens.word()), tokens)
    else addObject(table, kind, tokens)
  }

  #delete(tokens: TokenReader, mayBeAbsent = false): void {
    const kind = tokens.word()
    if (kind === 'table') {
      const key = `${tokens.word()} ${tokens.word()}`
      if (!this.#tables.delete(key) && !mayBeAbsent) throw new TracerError(`there is no table ${key}`)
      return
    }
    const table = this.#table(tokens)
    const name = tokens.word()
    if (kind === 'element') {
      deleteElements(collectionOf(table, name), tokens)
      return
    }
    const kinds: Readonly<Record<string, { delete(name: string): boolean }>> = {
      chain: table.chains,
      set: table.collections,
      map: table.collections,
      counter: table.counters,
    }
    if (!kinds[kind]?.delete(name) && !(mayBeAbsent && kinds[kind]))
      throw new TracerError(`there is no ${kind} ${name}`)
    if (usersOf(table, kind, name) > 0) throw new TracerError(`${kind} ${name} is in use`)
  }

  #flush(tokens: TokenReader): void {
    const kind = tokens.word()
    const table = this.#table(tokens)
    const name = tokens.word()
    if (kind === 'chain') chainOf(table, name).rules.length = 0
    else if (kind === 'set' || kind === 'map') collectionOf(table, name).elements.clear()
    else throw new TracerError(`"flush ${kind}" is not known to the tracer`)
  }

  #addTable(tokens: TokenReader): void {
    const [family, name] = [tokens.word(), tokens.word()]
    const key = `${family} ${name}`
    const table = this.#tables.get(key) ?? {
      family,
      name,
      collections: new Map(),
      chains: new Map(),
      counters: new Set<string>(),
    }
    this.#tables.set(key, table)
    if (!tokens.take('{')) return
    for (tokens.skipLines(); !tokens.take('}'); tokens.skipLines()) addObject(table, tokens.word(), tokens)
  }

  #table(tokens: TokenReader): Table {
    const key = `${tokens.word()} ${tokens.word()}`
    const table = this.#tables.get(key)
    if (!table) throw new TracerError(`there is no table ${key}`)
    return table
  }
}

function addObject(table: Table, kind: string, tokens: TokenReader): void {
  if (kind === 'comment') tokens.quoted()
  else if (kind === 'set' || kind === 'map') addCollection(table, tokens.word(), kind === 'map', tokens)
  else if (kind === 'chain') addChain(table, tokens.word(), tokens)
  else if (kind === 'counter') addCounter(table, tokens.word(), tokens)
  else throw new TracerError(`"${kind}" is not known to the tracer`)
}

function addCounter(table: Table, name: string, tokens: TokenReader): void {
  table.counters.add(name)
  if (tokens.take('{')) while (!tokens.take('}')) if (!tokens.skipLines()) passCounterPart(tokens)
}

function passCounterPart(tokens: TokenReader): void {
  if (tokens.take('comment')) tokens.quoted()
  else if (tokens.take('packets') || tokens.take('bytes')) tokens.word()
  else throw new TracerError(`a counter has "${tokens.peek()}", which is not known to the tracer`)
}

function addCollection(table: Table, name: string, isMap: boolean, tokens: TokenReader): void {
  tokens.expect('{')
  let collection: Collection = { types: [], isMap, isInterval: false, elements: new Map() }
  for (tokens.skipLines(); !tokens.take('}'); tokens.skipLines()) {
    const part = tokens.word()
    if (part === 'type') collection = { ...collection, types: parseTypes(tokens, isMap) }
    else if (part === 'flags') {
      if (tokens.take('interval')) collection = { ...collection, isInterval: true }
      else for (const word of ['dynamic', ',', 'timeout']) tokens.expect(word)
    } else if (part === 'size' || part === 'timeout') tokens.word()
    else if (part === 'comment') tokens.quoted()
    else if (part === 'elements') {
      tokens.expect('=')
      addElements(collection, tokens)
    } else throw new TracerError(`a set has "${part}", which is not known to the tracer`)
  }
  const before = table.collections.get(name)
  if (before && shapeOf(before) !== shapeOf(collection)) throw new TracerError(`there is another set ${name}`)
  if (before) for (const [key, element] of collection.elements) before.elements.set(key, element)
  else table.collections.set(name, collection)
}

function parseTypes(tokens: TokenReader, isMap: boolean): string[] {
  const types = [tokens.word()]
  while (tokens.take('.')) types.push(tokens.word())
  if (isMap) {
    tokens.expect(':')
    tokens.expect('verdict')
  }
  return types
}

function addElements(collection: Collection, tokens: TokenReader): void {
  tokens.expect('{')
  const { types, isMap, isInterval, elements } = collection
  const added = parseList(tokens, (): Element => {
    const key = parseTuple(tokens, types)
    if (!isInterval && key.some(({ first, last }) => first !== last))
      throw new TracerError('a range in a set without intervals')
    if (isMap) tokens.expect(':')
    const verdict = isMap ? parseVerdict(tokens) : undefined
    if (isMap && !verdict) throw new TracerError('an element of a map has no verdict')
    return { key, verdict }
  })
  for (const element of added) {
    const before = elements.get(keyOf(element.key))
    if (before && JSON.stringify(before.verdict) !== JSON.stringify(element.verdict))
      throw new TracerError('there is another element with this key')
    elements.set(keyOf(element.key), element)
  }
  if (isInterval) refuseOverlaps(Array.from(elements.values(), ({ key }) => key))
}

function deleteElements({ types, elements }: Collection, tokens: TokenReader): void {
  tokens.expect('{')
  const keys = parseList(tokens, () => {
    const key = keyOf(parseTuple(tokens, types))
    if (tokens.take(':')) parseVerdict(tokens)
    return key
  })
  for (const key of keys) if (!elements.delete(key)) throw new TracerError(`there is no element ${key}`)
}

export const keyOf = (key: readonly NumberRange[]) => key.map(({ first, last }) => `${first}-${last}`).join(' . ')

function addChain(table: Table, name: string, tokens: TokenReader): void {
  const chain = table.chains.get(name) ?? { hook: undefined, rules: [] }
  table.chains.set(name, chain)
  if (!tokens.take('{')) return
  for (tokens.skipLines(); !tokens.take('}'); tokens.skipLines()) {
    if (tokens.take('type')) chain.hook = parseHook(tokens)
    else if (tokens.take('comment')) tokens.quoted()
    else chain.rules.push(parseRule(tokens))
  }
}

/** `filter hook forward priority filter - 5; policy accept;` */
function parseHook(tokens: TokenReader): Hook {
  tokens.expect('filter')
  tokens.expect('hook')
  const hook = tokens.word()
  tokens.expect('priority')
  const named = tokens.word()
  let priority = PRIORITIES[named] ?? Number(named)
  if (tokens.take('-')) priority -= Number(tokens.word())
  else if (tokens.take('+')) priority += Number(tokens.word())
  if (!Number.isInteger(priority)) throw new TracerError(`"${named}" is no priority`)
  tokens.expect(';')
  tokens.skipLines()
  tokens.expect('policy')
  const policy = tokens.word()
  if (policy !== 'accept' && policy !== 'drop') throw new TracerError(`"${policy}" is no policy of a chain`)
  return { hook, priority, policy }
}

function chainOf(table: Table, name: string): Chain {
  const chain = table.chains.get(name)
  if (!chain) throw new TracerError(`there is no chain ${name}`)
  return chain
}

function collectionOf(table: Table, name: string): Collection {
  const collection = table.collections.get(name)
  if (!collection) throw new TracerError(`there is no set ${name}`)
  return collection
}
