import { collapseIPv6Number, IPv4, IPv6 } from 'ip-num'

export type Family = 4 | 6

/** A block of addresses as the user wrote it, and as numbers. */
export interface Cidr {
  readonly family: Family
  /** In canonical form: `10.42.0.0/24`, `fd42::/64`. */
  readonly text: string
  /** The number of the first address. */
  readonly first: bigint
  readonly prefixLength: number
}

/** The text is not an address or a CIDR; the message says so and how to write it. */
export class AddressError extends Error {
  override readonly name = 'AddressError'
  readonly code = 'ADDRESS' as const
}

export const ADDRESS_BITS = { 4: 32, 6: 128 } as const

export function familyOf(address: string): Family {
  return address.includes(':') ? 6 : 4
}

/** @throws AddressError */
export function parseCidr(text: string): Cidr {
  const family = familyOf(text)
  const example = family === 4 ? '10.42.0.0/24' : 'fd42::/64'
  const [, address = '', length = ''] = /^([0-9a-f:.]+)\/(0|[1-9]\d{0,2})$/i.exec(text) ?? []
  if (address === '') throw new AddressError(`Cannot parse CIDR "${text}": write it like ${example}`)
  const prefixLength = Number(length)
  if (prefixLength > ADDRESS_BITS[family])
    throw new AddressError(
      `Cannot parse CIDR "${text}": the length of an IPv${family} prefix is at most ${ADDRESS_BITS[family]}; write it like ${example}`,
    )
  const number = readAddress(address, `Cannot parse CIDR "${text}"`, example)
  const hostBits = BigInt(ADDRESS_BITS[family] - prefixLength)
  const first = (number >> hostBits) << hostBits
  const network = `${formatAddress(family, first)}/${prefixLength}`
  if (number !== first)
    throw new AddressError(`Cannot use CIDR "${text}": it is an address inside ${network}; write ${network}`)
  return { family, text: network, first, prefixLength }
}

/** @throws AddressError */
export function parseAddress(text: string): bigint {
  return readAddress(text, `Cannot parse address`, familyOf(text) === 4 ? '10.42.0.7' : 'fd42::7')
}

function readAddress(text: string, failure: string, example: string): bigint {
  const family = familyOf(text)
  try {
    // ip-num passes over a zone (fe80::1%eth0), which belongs to one node only.
    if (text.includes('%')) throw new RangeError('a zone')
    return family === 4 ? IPv4.fromString(text).value : IPv6.fromString(text).value
  } catch (error) {
    throw new AddressError(`${failure}: "${text}" is no IPv${family} address; write it like ${example}`, {
      cause: error,
    })
  }
}

/** The one text of an address: dotted for IPv4, RFC 5952 for IPv6. */
export function formatAddress(family: Family, number: bigint): string {
  return family === 4 ? IPv4.fromNumber(number).toString() : collapseIPv6Number(IPv6.fromBigInt(number).toString())
}

/**
 * In network order, as the kernel takes it.
 * @param text an address as formatAddress writes it; other text gives other bytes
 */
export function addressBytes(text: string): Buffer {
  if (familyOf(text) === 4) return Buffer.from(text.split('.').map(Number))
  const [head = '', tail] = text.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const bytes = Buffer.alloc(16)
  for (const [index, group] of before.entries()) bytes.writeUInt16BE(Number.parseInt(group, 16), index * 2)
  for (const [index, group] of after.entries())
    bytes.writeUInt16BE(Number.parseInt(group, 16), 16 - (after.length - index) * 2)
  return bytes
}

/**
 * What formatAddress writes, in a fifth of the time: a listing of the kernel has tens of thousands.
 * @param bytes 4 or 16 of them, in network order
 */
export function addressOf(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.')
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0))
  const { start, length } = longestZeros(groups)
  const hex = groups.map((group) => group.toString(16))
  if (length < 2) return hex.join(':')
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + length).join(':')}`
}

/** Of several the first one: RFC 5952, section 4.2.3. */
function longestZeros(groups: readonly number[]): { start: number; length: number } {
  let longest = { start: 0, length: 0 }
  let start = 0
  for (const [index, group] of groups.entries()) {
    if (group !== 0) start = index + 1
    else if (index + 1 - start > longest.length) longest = { start, length: index + 1 - start }
  }
  return longest
}

/**
 * What formatAddress writes, from what the C library does: where an IPv6 address holds an IPv4 one, inet_ntop(3) ends it with that
 * (`::ffff:192.0.2.1`). Any other text stays as it is.
 */
export function undotted(text: string): string {
  return /^[0-9a-f:]*:\d+(\.\d+){3}$/.test(text) ? formatAddress(6, parseAddress(text)) : text
}

/** Tells whether a text that comes from outside is an address as formatAddress writes it. */
export function isAddress(text: string): boolean {
  try {
    return addressOf(addressBytes(text)) === text // whatever these make of other texts, it is an address, and another text
  } catch {
    return false
  }
}

/** @param address as formatAddress writes it */
export function contains(cidr: Cidr, address: string): boolean {
  if (familyOf(address) !== cidr.family) return false
  const hostBits = BigInt(ADDRESS_BITS[cidr.family] - cidr.prefixLength)
  return numberOf(address) >> hostBits === cidr.first >> hostBits
}

/** @param address as formatAddress writes it */
export function numberOf(address: string): bigint {
  if (familyOf(address) === 6) return BigInt(`0x${addressBytes(address).toString('hex')}`)
  return BigInt(address.split('.').reduce((number, byte) => number * 256 + Number(byte), 0))
}

export function overlaps(a: Cidr, b: Cidr): boolean {
  if (a.family !== b.family) return false
  const hostBits = BigInt(ADDRESS_BITS[a.family] - Math.min(a.prefixLength, b.prefixLength))
  return a.first >> hostBits === b.first >> hostBits
}
