import {
  type CounterValue,
  POLICY_TABLE,
  type PolicyChain,
  type PolicyChange,
  type PolicyMap,
  type PolicySet,
  type PolicyTable,
} from './table.ts'

/** The table, and its changes, in the language of nft: each one transaction, so that no packet meets half of it. Pure. */

/** With its chain where it is one of a map. */
export function elementText([element, chain]: readonly [string, string]): string {
  return chain === '' ? element : `${element} : jump ${chain}`
}

/**
 * The table anew.
 * @param values of counters, by name: they go on from there
 */
export function renderTable(table: PolicyTable, values: ReadonlyMap<string, CounterValue> = new Map()): string {
  return [
    ...withoutPolicy(),
    ...block(`table ${POLICY_TABLE}`, [
      ...[...table.counters.keys()].flatMap((name) => {
        const { packets, bytes } = values.get(name) ?? { packets: 0, bytes: 0 }
        return block(`counter ${name}`, [`packets ${packets} bytes ${bytes}`])
      }),
      ...[...table.sets.values()].flatMap((set) => block(`set ${set.name}`, setLines(set))),
      ...[...table.maps.values()].flatMap((map) => block(`map ${map.name}`, mapLines(map))),
      ...[...table.chains.values()].flatMap((chain) => block(`chain ${chain.name}`, chainLines(chain))),
    ]),
  ].join('\n')
}

/** Commands after which the table is not there, whether it was or not. */
export function withoutPolicy(): string[] {
  return [`add table ${POLICY_TABLE}`, `delete table ${POLICY_TABLE}`]
}

/**
 * What is referred to is made before who refers to it, and deleted behind. It is refused as a whole where the kernel's
 * table is not the one that the change begins with.
 * @returns '' for no change
 */
export function renderChange(change: PolicyChange): string {
  const {
    addedCounters,
    addedSets,
    addedChains,
    rewrittenChains = [],
    removedChains,
    removedSets,
    removedCounters,
  } = change
  return [
    ...addedCounters.map(({ name }) => `add counter ${POLICY_TABLE} ${name}`),
    ...addedSets.map(renderNewSet),
    ...addedChains.map(
      ({ name, hook }) => `add chain ${POLICY_TABLE} ${name}${hook === undefined ? '' : ` { ${hook} }`}`,
    ),
    ...rewrittenChains.map(({ name }) => `flush chain ${POLICY_TABLE} ${name}`),
    ...[...addedChains, ...rewrittenChains].flatMap(({ name, rules }) =>
      rules.map((rule) => `add rule ${POLICY_TABLE} ${name} ${rule}`),
    ),
    ...Array.from(change.removedElements, ([set, elements]) => renderElements('delete', set, elements)),
    ...Array.from(change.addedElements, ([set, elements]) => renderElements('add', set, elements)),
    // Chains go to each other: first none of them does.
    ...removedChains.map((name) => `flush chain ${POLICY_TABLE} ${name}`),
    ...removedChains.map((name) => `delete chain ${POLICY_TABLE} ${name}`),
    ...removedSets.map((name) => `delete set ${POLICY_TABLE} ${name}`),
    ...removedCounters.map((name) => `delete counter ${POLICY_TABLE} ${name}`),
  ].join('\n')
}

/** The same, for a kernel that has no NFLOG and refuses rules that log. */
export function withoutLogs(text: string): string {
  return text
    .split('\n')
    .filter((line) => !/ log prefix "[^"]*" group /.test(line))
    .join('\n')
}

export function renderNewSet(set: PolicySet): string {
  return `add set ${POLICY_TABLE} ${set.name} { ${setLines(set).join('; ')}; }`
}

function renderElements(verb: 'add' | 'delete', set: string, elements: readonly string[]): string {
  return `${verb} element ${POLICY_TABLE} ${set} { ${elements.join(', ')} }`
}

/** Far more than a node has pods; what has no place is not told of. */
const DYNAMIC_LINES = ['size 4096', 'flags dynamic,timeout', 'timeout 10s']

function setLines({ type, isInterval, isDynamic, comment, elements }: PolicySet): string[] {
  return [
    `type ${type}`,
    ...(isDynamic ? DYNAMIC_LINES : []),
    ...(isInterval ? ['flags interval'] : []),
    ...(comment === '' ? [] : [`comment "${comment}"`]),
    ...elementLines([...elements]),
  ]
}

function mapLines({ type, elements }: PolicyMap): string[] {
  return [`type ${type} : verdict`, ...elementLines([...elements].map(elementText))]
}

function elementLines(elements: readonly string[]): string[] {
  return elements.length === 0 ? [] : [`elements = { ${elements.join(', ')} }`]
}

function chainLines({ hook, rules }: PolicyChain): string[] {
  return hook === undefined ? [...rules] : [hook, ...rules]
}

function block(head: string, lines: readonly string[]): string[] {
  return [`${head} {`, ...lines.map((line) => `\t${line}`), '}']
}
