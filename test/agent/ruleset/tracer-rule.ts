import type { TokenReader } from './tracer-tokens.ts'
import { type NumberRange, parseValue, TracerError } from './tracer-values.ts'

/** One rule as a value: what a packet is compared with, in order, and what becomes of it. */

export type Verdict =
  | { readonly kind: 'accept' | 'drop' | 'return' }
  | { readonly kind: 'jump' | 'goto'; readonly chain: string }

/** A part of a packet, or of what is known of it: `ip saddr`. */
export interface Term {
  readonly name: string
  readonly type: string
}

export type Statement =
  /** Whether the terms together are among the values; with a mask, what is left of the only term. */
  | {
      readonly kind: 'match'
      readonly terms: readonly Term[]
      readonly mask?: bigint
      readonly isNegated: boolean
      readonly values: readonly (readonly NumberRange[])[]
    }
  | { readonly kind: 'lookup'; readonly terms: readonly Term[]; readonly isNegated: boolean; readonly set: string }
  | { readonly kind: 'vmap'; readonly terms: readonly Term[]; readonly map: string }
  | { readonly kind: 'counter'; readonly name: string | undefined }
  | { readonly kind: 'log'; readonly prefix: string; readonly group: number | undefined }
  | { readonly kind: 'limit' }
  /** As a limit; but of another family, the rule ends there. */
  | { readonly kind: 'update'; readonly set: string; readonly term: Term }
  | { readonly kind: 'verdict'; readonly verdict: Verdict }

export interface Rule {
  readonly statements: readonly Statement[]
  readonly comment: string | undefined
}

const TERMS: Readonly<Record<string, string>> = {
  iifname: 'ifname',
  oifname: 'ifname',
  iifgroup: 'devgroup',
  'fib daddr type': 'fib_addrtype',
  'fib saddr type': 'fib_addrtype',
  'ether saddr': 'ether_addr',
  'ip saddr': 'ipv4_addr',
  'ip daddr': 'ipv4_addr',
  'ip protocol': 'inet_proto',
  'ip6 saddr': 'ipv6_addr',
  'ip6 daddr': 'ipv6_addr',
  'meta l4proto': 'inet_proto',
  'th dport': 'inet_service',
  'tcp dport': 'inet_service',
  'udp dport': 'inet_service',
  'sctp dport': 'inet_service',
  'icmp type': 'icmp_type',
  'icmpv6 type': 'icmp_type',
  'ct state': 'ct_state',
  'ct mark': 'mark',
}

/** Up to the end of the line. @throws TracerError for whatever is not listed here */
export function parseRule(tokens: TokenReader): Rule {
  const statements: Statement[] = []
  let comment: string | undefined
  while (!tokens.isAtEnd) {
    if (comment !== undefined) throw new TracerError(`"${tokens.peek()}" stands behind the comment`)
    if (tokens.take('comment')) comment = tokens.quoted()
    else statements.push(parseStatement(tokens))
  }
  const verdict = statements.findIndex(({ kind }) => kind === 'verdict' || kind === 'vmap')
  if (verdict >= 0 && verdict < statements.length - 1) throw new TracerError('something stands behind the verdict')
  // What a limit lets by is known to the kernel alone: it may say what is logged, and not what is dropped.
  if (verdict >= 0 && statements.some(({ kind }) => kind === 'limit' || kind === 'update'))
    throw new TracerError('a verdict has a limit')
  return { statements, comment }
}

function parseStatement(tokens: TokenReader): Statement {
  const verdict = parseVerdict(tokens)
  if (verdict) return { kind: 'verdict', verdict }
  if (tokens.take('counter')) return parseCounter(tokens)
  if (tokens.take('log')) return parseLog(tokens)
  if (tokens.take('limit')) return parseLimit(tokens)
  if (tokens.take('update')) return parseUpdate(tokens)
  return parseMatch(tokens)
}

/** @returns undefined where none begins here */
export function parseVerdict(tokens: TokenReader): Verdict | undefined {
  for (const kind of ['accept', 'drop', 'return'] as const) if (tokens.take(kind)) return { kind }
  for (const kind of ['jump', 'goto'] as const) if (tokens.take(kind)) return { kind, chain: tokens.word() }
  return undefined
}

function parseCounter(tokens: TokenReader): Statement {
  if (tokens.take('name')) return { kind: 'counter', name: tokens.isQuoted ? tokens.quoted() : tokens.word() }
  if (tokens.take('packets')) {
    tokens.word()
    tokens.expect('bytes')
    tokens.word()
  }
  return { kind: 'counter', name: undefined }
}

function parseLog(tokens: TokenReader): Statement {
  let prefix = ''
  let group: number | undefined
  for (;;) {
    if (tokens.take('prefix')) prefix = tokens.quoted()
    else if (tokens.take('group')) group = Number(tokens.word())
    else if (tokens.take('snaplen') || tokens.take('queue-threshold')) tokens.word()
    else return { kind: 'log', prefix, group }
  }
}

function parseLimit(tokens: TokenReader): Statement {
  tokens.expect('rate')
  tokens.word()
  if (tokens.take('burst')) {
    tokens.word()
    tokens.expect('packets')
  }
  return { kind: 'limit' }
}

/** A limit for each element of a set, which packets put there. */
function parseUpdate(tokens: TokenReader): Statement {
  const set = parseReference(tokens)
  tokens.expect('{')
  const term = parseTerm(tokens)
  tokens.expect('limit')
  parseLimit(tokens)
  tokens.expect('}')
  return { kind: 'update', set, term }
}

function parseMatch(tokens: TokenReader): Statement {
  const terms = [parseTerm(tokens)]
  while (tokens.take('.')) terms.push(parseTerm(tokens))
  const mask =
    tokens.take('&') || tokens.take('and') ? parseValue(terms[0]?.type ?? '', tokens.word()).first : undefined
  if (mask !== undefined && terms.length > 1) throw new TracerError('a mask over several terms')
  if (tokens.take('vmap')) return { kind: 'vmap', terms, map: parseReference(tokens) }
  const isNegated = tokens.take('!=')
  if (!isNegated) tokens.take('==')
  if (tokens.peek()?.startsWith('@')) {
    if (mask !== undefined) throw new TracerError('a mask before a set')
    return { kind: 'lookup', terms, isNegated, set: parseReference(tokens) }
  }
  const values = parseValues(tokens, terms)
  return { kind: 'match', terms, isNegated, values, ...(mask !== undefined && { mask }) }
}

function parseTerm(tokens: TokenReader): Term {
  tokens.take('meta', 'iifname')
  const [first = '', second = '', third = ''] = [tokens.peek(), tokens.peek(1), tokens.peek(2)]
  for (const name of [first, `${first} ${second}`, `${first} ${second} ${third}`]) {
    const type = Object.hasOwn(TERMS, name) ? TERMS[name] : undefined
    if (type === undefined) continue
    for (const word of name.split(' ')) tokens.expect(word)
    return { name, type }
  }
  throw new TracerError(`"${first} ${second}" is not known to the tracer`)
}

function parseReference(tokens: TokenReader): string {
  const word = tokens.word()
  if (!/^@[\w-]+$/.test(word)) throw new TracerError(`"${word}" is no name of a set`)
  return word.slice(1)
}

/** One, several with commas (of connections' states), or a list in braces. */
function parseValues(tokens: TokenReader, terms: readonly Term[]): NumberRange[][] {
  if (tokens.take('{')) {
    const values = parseList(tokens, () => parseTuple(tokens, typesOf(terms)))
    refuseOverlaps(values)
    return values
  }
  const values = [parseTuple(tokens, typesOf(terms))]
  while (terms[0]?.type === 'ct_state' && tokens.take(',')) values.push(parseTuple(tokens, typesOf(terms)))
  return values
}

const typesOf = (terms: readonly Term[]) => terms.map(({ type }) => type)

/** What is between braces, behind the first one; lines may end there. */
export function parseList<T>(tokens: TokenReader, parse: () => T): T[] {
  const items: T[] = []
  for (tokens.skipLines(); !tokens.take('}'); tokens.skipLines()) {
    if (items.length > 0) tokens.expect(',')
    tokens.skipLines()
    if (tokens.take('}')) break
    items.push(parse())
  }
  return items
}

/** Values joined by dots, one for each type. */
export function parseTuple(tokens: TokenReader, types: readonly string[]): NumberRange[] {
  return types.map((type, index) => {
    if (index > 0) tokens.expect('.')
    return parseValue(type, tokens.isQuoted ? `"${tokens.quoted()}"` : tokens.word())
  })
}

/** As the kernel does of intervals. */
export function refuseOverlaps(tuples: readonly (readonly NumberRange[])[]): void {
  if (tuples.every((tuple) => tuple.length === 1)) {
    const inOrder = tuples.flat().toSorted((a, b) => (a.first < b.first ? -1 : 1))
    for (const [index, { first }] of inOrder.entries())
      if ((inOrder[index - 1]?.last ?? -1n) >= first) throw new TracerError('conflicting intervals specified')
  }
}
