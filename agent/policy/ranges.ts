import { ADDRESS_BITS, formatAddress } from '../../ipam/address.ts'
import type { AddressRange } from '../cluster/policy.ts'

/** @param ranges in order, none overlapping another, as those of a policy are: there may be ten thousand */
export function isWithin(ranges: readonly AddressRange[], family: 4 | 6, number: bigint): boolean {
  let [low, high] = [0, ranges.length - 1]
  while (low <= high) {
    const middle = (low + high) >>> 1
    const range = ranges[middle]
    if (!range) return false
    const isBefore = family === range.family ? number < range.first : family < range.family
    const isBehind = family === range.family ? number > range.last : family > range.family
    if (!isBefore && !isBehind) return true
    if (isBefore) high = middle - 1
    else low = middle + 1
  }
  return false
}

/** An address, a CIDR, or `first-last`. */
export function rangeText({ family, first, last }: AddressRange): string {
  const from = formatAddress(family, first)
  const size = last - first + 1n
  const hostBits = size.toString(2).length - 1
  if (size === 1n) return from
  const isNetwork = size === 1n << BigInt(hostBits) && first % size === 0n
  return isNetwork ? `${from}/${ADDRESS_BITS[family] - hostBits}` : `${from}-${formatAddress(family, last)}`
}
