import type { PolicyChange, PolicyTable } from '../../../agent/ruleset/table.ts'

/** A table at one moment, to compare and to apply changes to; what DesiredPolicy gives goes on changing. */
export interface Snapshot {
  readonly counters: ReadonlySet<string>
  /** Rules, by chain. */
  readonly chains: ReadonlyMap<string, string>
  /** Chains, by element; '' of a set. By set or map. */
  readonly elements: ReadonlyMap<string, ReadonlyMap<string, string>>
}

export function snapshot({ counters, chains, sets, maps }: PolicyTable): Snapshot {
  return {
    counters: new Set(counters.keys()),
    chains: new Map(Array.from(chains.values(), ({ name, rules }) => [name, rules.join('\n')])),
    elements: new Map([
      ...Array.from(
        sets.values(),
        ({ name, elements }) => [name, new Map([...elements].map((one) => [one, '']))] as const,
      ),
      ...Array.from(maps.values(), ({ name, elements }) => [name, new Map(elements)] as const),
    ]),
  }
}

/**
 * What the kernel would have after the change.
 * @throws Error where the kernel would refuse it: what is added is there, what is removed or referred to is not
 */
export function applied(before: Snapshot, change: PolicyChange): Snapshot {
  const counters = new Set(before.counters)
  const chains = new Map(before.chains)
  const elements = new Map(Array.from(before.elements, ([name, some]) => [name, new Map(some)]))
  const must = (isRight: boolean, what: string) => {
    if (!isRight) throw new Error(what)
  }
  for (const { name } of change.addedCounters) {
    must(!counters.has(name), `the counter ${name} is there`)
    counters.add(name)
  }
  for (const set of change.addedSets) {
    must(!elements.has(set.name), `the set ${set.name} is there`)
    elements.set(set.name, new Map([...set.elements].map((one) => [one, ''])))
  }
  for (const { name, rules } of change.addedChains) {
    must(!chains.has(name), `the chain ${name} is there`)
    chains.set(name, rules.join('\n'))
  }
  for (const [name, removed] of change.removedElements)
    for (const element of removed) must(elements.get(name)?.delete(element) ?? false, `${element} is not in ${name}`)
  for (const [name, added] of change.addedElements)
    for (const text of added) {
      const [element = '', chain = ''] = text.split(' : jump ')
      must(elements.get(name)?.has(element) === false, `${element} is in ${name}, or that is not there`)
      elements.get(name)?.set(element, chain)
    }
  for (const name of change.removedChains) must(chains.delete(name), `the chain ${name} is not there`)
  for (const name of change.removedSets) must(elements.delete(name), `the set ${name} is not there`)
  for (const name of change.removedCounters) must(counters.delete(name), `the counter ${name} is not there`)
  const after = { counters, chains, elements }
  for (const name of missing(after)) must(false, `${name} is referred to, and is not there`)
  return after
}

/** What rules and maps refer to, and is not there. */
function missing({ counters, chains, elements }: Snapshot): string[] {
  const text = [...chains.values()].join('\n')
  const named = (pattern: RegExp) => Array.from(text.matchAll(pattern), ([, name]) => name ?? '')
  const targets = [...elements.values()].flatMap((some) => [...some.values()]).filter((chain) => chain !== '')
  return [
    ...named(/counter name "([^"]+)"/g).filter((name) => !counters.has(name)),
    ...[...named(/(?:goto|jump) (\S+)/g), ...targets].filter((name) => !chains.has(name)),
    ...named(/@(\S+)/g).filter((name) => !elements.has(name)),
  ]
}
