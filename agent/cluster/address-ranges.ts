import { ADDRESS_BITS, AddressError, familyOf, numberOf, parseAddress } from '../../ipam/address.ts'
import type { AddressRange } from './policy.ts'

/** The addresses of `::ffff:a.b.c.d`, which stand for IPv4 in programs and are in no packet. */
const MAPPED = { first: 0xffff_0000_0000n, last: 0xffff_ffff_ffffn }

/**
 * A CIDR of a policy. As the API server has it (k8s.io/utils/net, ParseCIDRSloppy), bits behind the prefix are passed over
 * and numbers of IPv4 may begin with zeros.
 * @returns undefined where it is none; a policy may have tens of thousands of such, and an error for each takes seconds
 */
export function parseRange(text: string): AddressRange | undefined {
  const family = familyOf(text)
  const [, address = '', length = ''] = /^([0-9a-f:.]{1,50})\/(\d{1,3})$/i.exec(text) ?? []
  const number = family === 4 ? parseIpv4(address) : parseIpv6(address)
  const hostBits = ADDRESS_BITS[family] - Number(length)
  if (number === undefined || hostBits < 0) return undefined
  const first = (number >> BigInt(hostBits)) << BigInt(hostBits)
  const last = first + (1n << BigInt(hostBits)) - 1n
  const isMapped = family === 6 && first >= MAPPED.first && last <= MAPPED.last
  return isMapped ? undefined : { family, first, last }
}

function parseIpv4(text: string): bigint | undefined {
  const bytes = /^\d{1,9}(\.\d{1,9}){3}$/.test(text) ? text.split('.').map(Number) : []
  return bytes.length === 4 && bytes.every((byte) => byte <= 255) ? numberOf(bytes.join('.')) : undefined
}

function parseIpv6(text: string): bigint | undefined {
  try {
    return parseAddress(text)
  } catch (error) {
    if (error instanceof AddressError) return undefined
    throw error
  }
}

/** In order, none overlapping or touching another. */
export function merge(ranges: readonly AddressRange[]): AddressRange[] {
  const merged: AddressRange[] = []
  for (const range of ranges.toSorted(byFirst)) {
    const last = merged.at(-1)
    if (last?.family !== range.family || range.first > last.last + 1n) merged.push(range)
    else if (range.last > last.last) merged[merged.length - 1] = { ...last, last: range.last }
  }
  return merged
}

/** What is in the range and in none of the exceptions; in order. */
export function subtract({ family, first, last }: AddressRange, exceptions: readonly AddressRange[]): AddressRange[] {
  const left: AddressRange[] = []
  let from = first
  for (const exception of merge(exceptions)) {
    if (exception.family !== family || exception.last < from || exception.first > last) continue
    if (exception.first > from) left.push({ family, first: from, last: exception.first - 1n })
    from = exception.last + 1n
  }
  return from <= last ? [...left, { family, first: from, last }] : left
}

/** A part of the other and not all of it. */
export function isStrictlyInside(inner: AddressRange, outer: AddressRange): boolean {
  const isInside = inner.family === outer.family && inner.first >= outer.first && inner.last <= outer.last
  return isInside && inner.last - inner.first < outer.last - outer.first
}

function byFirst(a: AddressRange, b: AddressRange): number {
  if (a.family !== b.family) return a.family - b.family
  return a.first < b.first ? -1 : Number(a.first > b.first)
}
