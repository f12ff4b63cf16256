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
