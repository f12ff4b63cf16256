/** The values that packets are compared with, in the language of nft: each is a range of numbers, of one number mostly. */

export interface NumberRange {
  readonly first: bigint
  readonly last: bigint
}

/** What the tracer does not understand, or the kernel would refuse. */
export class TracerError extends Error {
  override readonly name = 'TracerError'
  readonly code = 'TRACER' as const
}

/** The numbers of include/uapi/linux/in.h. */
export const PROTOCOL_NUMBERS: Readonly<Record<string, number>> = {
  icmp: 1,
  ipip: 4,
  tcp: 6,
  udp: 17,
  ipv6: 41,
  gre: 47,
  'ipv6-icmp': 58,
  icmpv6: 58,
  sctp: 132,
}

/** The bits of include/uapi/linux/netfilter/nf_conntrack_common.h. */
export const CT_STATES = { invalid: 1, established: 2, related: 4, new: 8, untracked: 64 } as const

const READERS: Readonly<Record<string, (text: string) => bigint | undefined>> = {
  ipv4_addr: (text) => groups(text, '.', 4, 8, /^\d{1,3}$/, 10),
  ipv6_addr: (text) => groups(fullIpv6(text), ':', 8, 16, /^[0-9a-f]{1,4}$/, 16),
  ether_addr: (text) => groups(text, ':', 6, 8, /^[0-9a-f]{2}$/, 16),
  inet_service: decimal,
  inet_proto: (text) => decimal(text) ?? decimal(String(PROTOCOL_NUMBERS[text])),
  icmp_type: decimal,
  ct_state: (text) => decimal(String(CT_STATES[text as keyof typeof CT_STATES])),
  mark: decimal,
  devgroup: decimal,
  /** RTN_LOCAL in include/uapi/linux/rtnetlink.h */
  fib_addrtype: (text) => (text === 'local' ? 2n : undefined),
}
const ADDRESS_BITS: Readonly<Record<string, number>> = { ipv4_addr: 32, ipv6_addr: 128 }
const IFNAMSIZ = 16

/** `10.42.0.0/24`, `80-90`, `"brm*"` and the like. @throws TracerError */
export function parseValue(type: string, text: string): NumberRange {
  if (type === 'ifname') return parseIfname(text)
  const [address = '', length] = text.split('/')
  const bits = ADDRESS_BITS[type]
  if (length !== undefined && bits !== undefined && Number(length) <= bits) {
    const size = 1n << BigInt(bits - Number(length))
    const number = numberOf(type, address)
    if (number % size !== 0n) throw new TracerError(`${text} is inside of a network`)
    return { first: number, last: number + size - 1n }
  }
  const [from = '', to = from, ...more] = text.split('-')
  if (more.length > 0 || (type === 'inet_proto' && to !== from)) return one(numberOf(type, text))
  const [first, last] = [numberOf(type, from), numberOf(type, to)]
  if (last < first) throw new TracerError(`the range ${text} ends before it begins`)
  return { first, last }
}

/** @throws TracerError */
export function numberOf(type: string, text: string): bigint {
  const number = READERS[type]?.(text)
  if (number === undefined) throw new TracerError(`"${text}" is no ${type}`)
  return number
}

/** As the kernel compares them: sixteen bytes, of which a wildcard leaves the last ones open. */
export function ifnameNumber(name: string, fill = '\0'): bigint {
  return BigInt(`0x${Buffer.from(name.padEnd(IFNAMSIZ, fill), 'latin1').toString('hex')}`)
}

function parseIfname(text: string): NumberRange {
  const [, name = '', wildcard] = /^"?([^"*]{1,15})(\*)?"?$/.exec(text) ?? []
  if (name === '') throw new TracerError(`${text} is no name of a link`)
  return { first: ifnameNumber(name), last: ifnameNumber(name, wildcard ? '\xff' : '\0') }
}

const one = (number: bigint): NumberRange => ({ first: number, last: number })

function decimal(text: string): bigint | undefined {
  return /^(\d+|0x[0-9a-f]+)$/.test(text) ? BigInt(text) : undefined
}

function fullIpv6(text: string): string {
  const [head = '', tail] = text.split('::')
  if (tail === undefined) return text
  const [before, after] = [head, tail].map((part) => (part === '' ? [] : part.split(':')))
  const missing = 8 - (before?.length ?? 0) - (after?.length ?? 0)
  return [...(before ?? []), ...Array<string>(Math.max(missing, 0)).fill('0'), ...(after ?? [])].join(':')
}

function groups(text: string, separator: string, count: number, bits: number, form: RegExp, radix: number) {
  const parts = text.split(separator)
  if (parts.length !== count || !parts.every((part) => form.test(part))) return undefined
  const numbers = parts.map((part) => Number.parseInt(part, radix))
  if (numbers.some((number) => number >= 2 ** bits)) return undefined
  return numbers.reduce((all, number) => (all << BigInt(bits)) | BigInt(number), 0n)
}
