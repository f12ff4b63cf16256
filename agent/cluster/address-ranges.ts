import { ADDRESS_BITS, AddressError, familyOf, parseAddress } from '../../ipam/address.ts'
import type { AddressRange } from './policy.ts'

/** The addresses of `::ffff:a.b.c.d`, which stand for IPv4 in programs and are in no packet. */
const MAPPED = { first: 0xffff_0000_0000n, last: 0xffff_ffff_ffffn }

/**
 * A CIDR of a policy. As the API server has it (k8s.io/utils/net, ParseCIDRSloppy), bits behind the prefix are passed over
 * and numbers of IPv4 may begin with zeros.
 * @throws AddressError
 */
export function parseRange(text: string): AddressRange {
  const family = familyOf(text)
  const example = family === 4 ? '10.42.0.0/24' : 'fd42::/64'
  const [, address = '', length = ''] = /^([0-9a-f:.]{1,50})\/(\d{1,3})$/i.exec(text) ?? []
  const prefixLength = Number(length)
  if (address === '' || prefixLength > ADDRESS_BITS[family]) throw new AddressError(`write it like ${example}`)
  const number = parseAddress(family === 4 ? address.replace(/\b0+(?=\d)/g, '') : address)
  const hostBits = BigInt(ADDRESS_BITS[family] - prefixLength)
  const first = (number >> hostBits) << hostBits
  const range = { family, first, last: first + (1n << hostBits) - 1n }
  if (family === 6 && first >= MAPPED.first && range.last <= MAPPED.last) throw new AddressError('write it as IPv4')
  return range
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
