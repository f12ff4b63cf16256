import type { PortMatch } from '../cluster/policy.ts'
import type { NamedPort } from '../cluster/workloads.ts'
import type { Flow } from './flow.ts'

/** Destination ports that no rule tells apart: the first one stands for all of them. */
export interface PortClass {
  readonly protocol: Flow['protocol']
  readonly first: number
  readonly last: number
  /** It stands for every port that no rule speaks of. */
  readonly isRest: boolean
}

const PORT_LAST = 65_535
const WITH_PORTS = ['TCP', 'UDP', 'SCTP'] as const
/** All that has no ports. */
export const ICMP: PortClass = { protocol: 'ICMP', first: 0, last: 0, isRest: false }

/**
 * Every port there is, as few classes: what the matches speak of, and of each protocol one for all the rest. Pure.
 * @param named those of the destination, by which names in the matches are found
 */
export function portClasses(matches: readonly PortMatch[], named: readonly NamedPort[]): PortClass[] {
  const numbered = [
    ...matches.filter((match) => 'first' in match),
    ...named.map(({ protocol, number }) => ({ protocol, first: number, last: number })),
  ]
  const classes = WITH_PORTS.flatMap((protocol) =>
    split(numbered.filter((match) => match.protocol === protocol)).map((part) => ({ protocol, ...part })),
  )
  return [...classes, ICMP]
}

/** Between two neighbouring bounds no match begins or ends. */
function split(matches: readonly { readonly first: number; readonly last: number }[]): Omit<PortClass, 'protocol'>[] {
  const bounds = new Set([1, PORT_LAST + 1, ...matches.flatMap(({ first, last }) => [first, last + 1])])
  const firsts = [...bounds].sort((a, b) => a - b)
  const parts = firsts.slice(0, -1).map((first, index) => ({ first, last: (firsts[index + 1] ?? 0) - 1 }))
  const isMeant = (part: { readonly first: number }) =>
    matches.some(({ first, last }) => first <= part.first && part.first <= last)
  const rest = parts.find((part) => !isMeant(part))
  return [
    ...parts.filter(isMeant).map((part) => ({ ...part, isRest: false })),
    ...(rest ? [{ ...rest, isRest: true }] : []),
  ]
}

/** Some of all the classes, in words: `everything`, `TCP 80, 8000-8080; UDP`, `other TCP`, `nothing`. Pure. */
export function describePorts(some: ReadonlySet<PortClass>, all: readonly PortClass[]): string {
  if (some.size === 0) return 'nothing'
  if (some.size === all.length) return 'everything'
  const texts = [...WITH_PORTS, 'ICMP' as const].flatMap((protocol) => {
    const [present, possible] = [all.filter((one) => some.has(one)), all].map((classes) =>
      classes.filter((one) => one.protocol === protocol),
    ) as [PortClass[], PortClass[]]
    if (present.length === 0) return []
    return [present.length === possible.length ? protocol : merged(present, protocol).join(', ')]
  })
  return texts.join('; ')
}

function merged(classes: readonly PortClass[], protocol: string): string[] {
  const runs: { first: number; last: number }[] = []
  for (const { first, last } of classes.filter(({ isRest }) => !isRest)) {
    const before = runs.at(-1)
    if (before && before.last + 1 === first) before.last = last
    else runs.push({ first, last })
  }
  const texts = runs.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`))
  return [
    ...(texts.length > 0 ? [`${protocol} ${texts.join(', ')}`] : []),
    ...(classes.some(({ isRest }) => isRest) ? [`other ${protocol}`] : []),
  ]
}
