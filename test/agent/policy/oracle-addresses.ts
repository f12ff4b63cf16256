/** The few lines of address arithmetic that the oracle needs; its own, and not the agent's. */

interface Range {
  readonly bits: number
  readonly first: bigint
  readonly last: bigint
}

/** Whether the CIDR holds the address. */
export function isIn(cidr: string, address: string): boolean {
  const range = rangeOf(cidr)
  const number = numberOf(address)
  if (range === undefined || number === undefined || range.bits !== bitsOf(address)) return false
  return range.first <= number && number <= range.last
}

/** A part of the other and not all of it. */
export function isStrictlyInside(inner: string, outer: string): boolean {
  const [a, b] = [rangeOf(inner), rangeOf(outer)]
  if (a === undefined || b === undefined || a.bits !== b.bits) return false
  return b.first <= a.first && a.last <= b.last && a.last - a.first < b.last - b.first
}

/** @returns undefined for what is no CIDR */
export function rangeOf(cidr: string): Range | undefined {
  const [, address = '', length = ''] = /^([^/]+)\/(\d{1,3})$/.exec(cidr) ?? []
  const number = numberOf(address)
  const bits = bitsOf(address)
  if (number === undefined || Number(length) > bits) return undefined
  const size = 1n << BigInt(bits - Number(length))
  const first = number - (number % size)
  return { bits, first, last: first + size - 1n }
}

/** An address as the kernel writes it: of IPv6 the longest row of zeros, of several the first, is `::` (RFC 5952). */
export function formatted(bits: number, number: bigint): string {
  const groupBits = bits === 32 ? 8n : 16n
  const count = bits / Number(groupBits)
  const groups = Array.from(
    { length: count },
    (_, i) => (number >> (groupBits * BigInt(count - 1 - i))) % (1n << groupBits),
  )
  if (bits === 32) return groups.join('.')
  const text = groups.map((group) => group.toString(16)).join(':')
  const [zeros] = [...text.matchAll(/\b0(:0)+\b/g)].toSorted((a, b) => b[0].length - a[0].length)
  if (zeros === undefined) return text
  const [head, tail] = [text.slice(0, zeros.index), text.slice(zeros.index + zeros[0].length)]
  return `${head.replace(/:$/, '')}::${tail.replace(/^:/, '')}`
}

const bitsOf = (address: string) => (address.includes(':') ? 128 : 32)

/** @returns undefined for what is no address */
export function numberOf(address: string): bigint | undefined {
  const groups = bitsOf(address) === 32 ? bytesOf(address) : hextetsOf(address)
  const size = bitsOf(address) === 32 ? 256n : 65536n
  return groups?.reduce((number, group) => number * size + group, 0n)
}

function bytesOf(address: string): bigint[] | undefined {
  const parts = address.split('.')
  return parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256)
    ? parts.map(BigInt)
    : undefined
}

function hextetsOf(address: string): bigint[] | undefined {
  const [head = '', tail, ...more] = address.split('::')
  const groups = (text: string) => (text === '' ? [] : text.split(':'))
  const missing = 8 - groups(head).length - groups(tail ?? '').length
  if (more.length > 0 || (tail === undefined ? missing !== 0 : missing < 1)) return undefined
  const all = [...groups(head), ...Array<string>(missing).fill('0'), ...groups(tail ?? '')]
  return all.every((group) => /^[0-9a-f]{1,4}$/i.test(group)) ? all.map((group) => BigInt(`0x${group}`)) : undefined
}
