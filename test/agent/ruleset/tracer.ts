import type { Collection, Table } from './tracer-contents.ts'
import type { Rule, Statement, Term, Verdict } from './tracer-rule.ts'
import { keyOf, type Ruleset } from './tracer-tables.ts'
import { CT_STATES, ifnameNumber, type NumberRange, numberOf, PROTOCOL_NUMBERS, TracerError } from './tracer-values.ts'

/** Carries a packet through a ruleset as the kernel would: net/netfilter/nf_tables_core.c, nft_do_chain. */

export interface Packet {
  readonly source: string
  readonly destination: string
  /** `tcp`, `udp`, `sctp`, `icmp` (of either family), or the number of another one. */
  readonly protocol: string
  /** Nothing that rules ask for; of a reply that of the first packet's destination. */
  readonly sourcePort?: number
  /** Absent for those that have none. */
  readonly destinationPort?: number
  readonly iifname: string
  /** Of the link that it came by. */
  readonly iifgroup: number
  readonly etherSource: string
  /** To an address of the node that it came to. */
  readonly isToNode?: boolean
  readonly ctState: keyof typeof CT_STATES
  readonly ctMark?: number
}

export interface Trace {
  readonly passes: boolean
  /** The comments of the rules that fitted, one behind the other. */
  readonly path: readonly string[]
  /** Names, each as often as it counted. */
  readonly counted: readonly string[]
  /** Prefixes. */
  readonly logged: readonly string[]
}

/** include/uapi/linux/rtnetlink.h */
const RTN_UNICAST = 1
const RTN_LOCAL = 2
/** A chain within a chain, as deep as the kernel goes (NFT_JUMP_STACK_SIZE in include/net/netfilter/nf_tables.h). */
const DEPTH_MAX = 16
/** To a packet that is forwarded, and to one that is for the node. */
const HOOKS = { forwarded: ['prerouting', 'forward'], toNode: ['prerouting', 'input'] } as const

/** @throws TracerError where the ruleset asks what the tracer cannot tell */
export function trace(ruleset: Ruleset, packet: Packet): Trace {
  const hooks = packet.isToNode ? HOOKS.toNode : HOOKS.forwarded
  const walk = new Walk(packet)
  for (const hook of hooks) {
    const chains = ruleset.tables
      .flatMap((table) => Array.from(table.chains, ([name, chain]) => ({ table, name, hook: chain.hook })))
      .filter((chain) => chain.hook?.hook === hook)
      .toSorted((a, b) => (a.hook?.priority ?? 0) - (b.hook?.priority ?? 0))
    // Accepted is accepted by this chain; dropped is dropped by all.
    for (const { table, name, hook } of chains) {
      const verdict = walk.through(table, name) ?? hook?.policy
      if (verdict === 'drop') return { ...walk.told, passes: false }
    }
  }
  return { ...walk.told, passes: true }
}

class Walk {
  readonly #packet: Packet
  readonly #path: string[] = []
  readonly #counted: string[] = []
  readonly #logged: string[] = []

  constructor(packet: Packet) {
    this.#packet = packet
  }

  get told(): Omit<Trace, 'passes'> {
    return { path: this.#path, counted: this.#counted, logged: this.#logged }
  }

  /** @returns undefined at the end of the chain: whoever jumped here goes on */
  through(table: Table, name: string, depth = 0): 'accept' | 'drop' | undefined {
    if (depth > DEPTH_MAX) throw new TracerError(`too many chains within chains at ${name}`)
    for (const rule of table.chains.get(name)?.rules ?? []) {
      const verdict = this.#verdictOf(table, rule)
      switch (verdict?.kind) {
        case undefined:
          continue
        case 'accept':
        case 'drop':
          return verdict.kind
        case 'return':
          return undefined
        case 'goto':
          return this.through(table, verdict.chain, depth + 1)
        case 'jump': {
          const decided = this.through(table, verdict.chain, depth + 1)
          if (decided !== undefined) return decided
        }
      }
    }
    return undefined
  }

  #verdictOf(table: Table, { statements, comment }: Rule): Verdict | undefined {
    for (const statement of statements) {
      if (statement.kind === 'counter') this.#counted.push(statement.name ?? '')
      if (statement.kind === 'log') this.#logged.push(statement.prefix)
      const verdict = this.#step(table, statement)
      if (verdict === false) return undefined
      if (verdict !== true) {
        this.#path.push(comment ?? '')
        return verdict
      }
    }
    this.#path.push(comment ?? '')
    return undefined
  }

  /** @returns whether the rule goes on, or how it ends */
  #step({ collections }: Table, statement: Statement): Verdict | boolean {
    switch (statement.kind) {
      case 'verdict':
        return statement.verdict
      case 'vmap':
        return this.#find(collections.get(statement.map), statement.terms)?.verdict ?? false
      case 'lookup': {
        const values = this.#values(statement.terms)
        return (
          values !== undefined && (findIn(collections.get(statement.set), values) !== undefined) !== statement.isNegated
        )
      }
      case 'update':
        if (!collections.has(statement.set)) throw new TracerError('a set that is not there')
        return this.#values([statement.term]) !== undefined
      case 'match': {
        const values = this.#values(statement.terms)
        if (values === undefined) return false // of another family or protocol: also for `!=`
        const { mask } = statement
        const compared = mask === undefined ? values : values.map((value) => value & mask)
        return statement.values.some((ranges) => isWithin(compared, ranges)) !== statement.isNegated
      }
      default:
        return true
    }
  }

  #find(collection: Collection | undefined, terms: readonly Term[]) {
    const values = this.#values(terms)
    return values && findIn(collection, values)
  }

  #values(terms: readonly Term[]): bigint[] | undefined {
    const values = terms.map((term) => partOf(this.#packet, term)).filter((value) => value !== undefined)
    return values.length === terms.length ? values : undefined
  }
}

function findIn(collection: Collection | undefined, values: readonly bigint[]) {
  if (!collection) throw new TracerError('a set that is not there')
  if (collection.types.length !== values.length) throw new TracerError('a set of other types')
  if (!collection.isInterval)
    return collection.elements.get(keyOf(values.map((value) => ({ first: value, last: value }))))
  return [...collection.elements.values()].find(({ key }) => isWithin(values, key))
}

function isWithin(values: readonly bigint[], ranges: readonly NumberRange[]): boolean {
  return ranges.every(({ first, last }, index) => {
    const value = values[index] ?? -1n
    return first <= value && value <= last
  })
}

/** @returns undefined where the packet has no such part, as the kernel's implied `meta nfproto` and `meta l4proto` find */
function partOf(packet: Packet, { name }: Term): bigint | undefined {
  const { source, destination, protocol, destinationPort } = packet
  const isIpv6 = source.includes(':')
  switch (name) {
    case 'iifname':
      return ifnameNumber(packet.iifname)
    case 'iifgroup':
      return BigInt(packet.iifgroup)
    case 'fib daddr type':
      return BigInt(packet.isToNode ? RTN_LOCAL : RTN_UNICAST)
    case 'fib saddr type': // of what is forwarded no source is this node's
      return BigInt(RTN_UNICAST)
    case 'ether saddr':
      return numberOf('ether_addr', packet.etherSource)
    case 'ip saddr':
      return isIpv6 ? undefined : numberOf('ipv4_addr', source)
    case 'ip daddr':
      return isIpv6 ? undefined : numberOf('ipv4_addr', destination)
    case 'ip6 saddr':
      return isIpv6 ? numberOf('ipv6_addr', source) : undefined
    case 'ip6 daddr':
      return isIpv6 ? numberOf('ipv6_addr', destination) : undefined
    case 'meta l4proto':
      return protocolNumber(protocol, isIpv6)
    case 'th dport':
    case 'tcp dport':
    case 'udp dport':
    case 'sctp dport':
      if (name !== 'th dport' && name !== `${protocol} dport`) return undefined
      return destinationPort === undefined ? undefined : BigInt(destinationPort)
    case 'ct state':
      return BigInt(CT_STATES[packet.ctState])
    case 'ct mark':
      return BigInt(packet.ctMark ?? 0)
    default:
      throw new TracerError(`the tracer's packets have no ${name}`)
  }
}

function protocolNumber(protocol: string, isIpv6: boolean): bigint {
  if (protocol === 'icmp') return isIpv6 ? 58n : 1n
  return BigInt(PROTOCOL_NUMBERS[protocol] ?? protocol)
}
