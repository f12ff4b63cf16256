import type { Rule, Verdict } from './tracer-rule.ts'
import { type NumberRange, TracerError } from './tracer-values.ts'

/** What is in a table, and what refers to what there. */

export interface Element {
  readonly key: readonly NumberRange[]
  readonly verdict: Verdict | undefined
}

export interface Collection {
  readonly types: readonly string[]
  readonly isMap: boolean
  readonly isInterval: boolean
  /** By their text. */
  readonly elements: Map<string, Element>
}

export interface Hook {
  readonly hook: string
  readonly priority: number
  readonly policy: 'accept' | 'drop'
}

export interface Chain {
  hook: Hook | undefined
  readonly rules: Rule[]
}

export interface Table {
  readonly family: string
  readonly name: string
  readonly collections: Map<string, Collection>
  readonly chains: Map<string, Chain>
  readonly counters: Set<string>
}

export const shapeOf = ({ types, isMap, isInterval }: Collection) => JSON.stringify([types, isMap, isInterval])

/** What rules and maps refer to: `set pods4-…`, `chain in-…`. */
function references({ chains, collections }: Table): string[] {
  const verdicts = Array.from(collections.values()).flatMap(({ elements }) =>
    Array.from(elements.values(), ({ verdict }) => verdict),
  )
  const statements = Array.from(chains.values()).flatMap(({ rules }) => rules.flatMap(({ statements }) => statements))
  return [
    ...verdicts.flatMap((verdict) => (verdict && 'chain' in verdict ? [`chain ${verdict.chain}`] : [])),
    ...statements.flatMap((statement) => {
      if (statement.kind === 'lookup' || statement.kind === 'update') return [`set ${statement.set}`]
      if (statement.kind === 'vmap') return [`map ${statement.map}`]
      if (statement.kind === 'counter' && statement.name !== undefined) return [`counter ${statement.name}`]
      if (statement.kind === 'verdict' && 'chain' in statement.verdict) return [`chain ${statement.verdict.chain}`]
      return []
    }),
  ]
}

export function usersOf(table: Table, kind: string, name: string): number {
  return references(table).filter((reference) => reference === `${kind} ${name}`).length
}

export function refuseDangling(table: Table): void {
  for (const reference of references(table)) {
    const [kind = '', name = ''] = reference.split(' ')
    const isThere =
      kind === 'chain'
        ? table.chains.has(name)
        : kind === 'counter'
          ? table.counters.has(name)
          : table.collections.has(name)
    if (!isThere) throw new TracerError(`there is no ${reference}, which is referred to`)
    if (kind !== 'chain' && kind !== 'counter' && table.collections.get(name)?.isMap !== (kind === 'map'))
      throw new TracerError(`${name} is no ${kind}`)
  }
}

export function copyOf(table: Table): Table {
  return {
    ...table,
    collections: new Map(
      Array.from(table.collections, ([name, one]) => [name, { ...one, elements: new Map(one.elements) }]),
    ),
    chains: new Map(Array.from(table.chains, ([name, { hook, rules }]) => [name, { hook, rules: [...rules] }])),
    counters: new Set(table.counters),
  }
}

export function contentsOf({ family, name, collections, chains, counters }: Table): string[] {
  const inTable = `${family} ${name}`
  return [
    ...Array.from(collections, ([key, one]) => {
      const elements = Array.from(one.elements.values(), (element) => text([element.key, element.verdict]))
      return `${inTable} set ${key} ${shapeOf(one)} ${elements.toSorted().join(', ')}`
    }),
    ...Array.from(chains, ([key, { hook, rules }]) => `${inTable} chain ${key} ${text([hook, rules])}`),
    ...Array.from(counters, (key) => `${inTable} counter ${key}`),
  ]
}

const text = (value: unknown) =>
  JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? part.toString(16) : part))
