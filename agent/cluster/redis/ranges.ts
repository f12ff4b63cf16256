import { ADDRESS_BITS, type Cidr, type Family, formatAddress } from '../../../ipam/address.ts'
import { JoinError } from '../view.ts'

/**
 * The pod CIDRs that the nodes get of one family: the CIDR of the cluster in equal parts, counted from 0. Redis knows
 * them by that number alone, since its Lua counts in doubles and an IPv6 address does not fit.
 */
export interface Range {
  readonly family: Family
  /** As the cluster keeps it: `10.42.0.0/16 in /24`. */
  readonly text: string
  /** How many there are; of more than a double counts exactly (IPv6), as many as it counts. */
  readonly capacity: number
  /** undefined: it has no such part. */
  cidrAt(index: string): Cidr | undefined
  /** undefined: no part of this cluster. */
  indexOf(cidr: Cidr): string | undefined
}

/** @throws JoinError */
export function rangesOf(clusterCidrs: readonly Cidr[], nodeMasks: Readonly<Record<Family, number>>): Range[] {
  const ranges = clusterCidrs.map((cluster) => rangeOf(cluster, nodeMasks[cluster.family]))
  if (ranges.length === 0 || new Set(ranges.map(({ family }) => family)).size < ranges.length)
    throw new JoinError('--cluster-cidr needs one CIDR of each family in use: 10.42.0.0/16, fd42::/48, or both')
  return ranges.sort((a, b) => a.family - b.family)
}

function rangeOf({ family, first, prefixLength, text }: Cidr, mask: number): Range {
  const indexBits = mask - prefixLength
  const hostBits = BigInt(ADDRESS_BITS[family] - mask)
  if (indexBits < 1 || hostBits < 0n) {
    const what = indexBits === 0 ? `is one /${mask}, and leaves nothing for other nodes` : `has no /${mask} in it`
    const flag = family === 6 ? '--node-mask-ipv6' : '--node-mask'
    throw new JoinError(`--cluster-cidr ${text} ${what}; give ${flag} a longer prefix, or the cluster a larger CIDR`)
  }
  return {
    family,
    text: `${text} in /${mask}`,
    capacity: Math.min(2 ** indexBits, Number.MAX_SAFE_INTEGER),
    cidrAt(index) {
      if (BigInt(index) >= 1n << BigInt(indexBits)) return undefined
      const start = first + (BigInt(index) << hostBits)
      return { family, text: `${formatAddress(family, start)}/${mask}`, first: start, prefixLength: mask }
    },
    indexOf(cidr) {
      const offset = cidr.first - first
      if (cidr.family !== family || cidr.prefixLength !== mask || offset < 0n) return undefined
      const index = offset >> hostBits
      return index < 1n << BigInt(indexBits) ? String(index) : undefined
    },
  }
}

/** The index of each range among these, and '' where none of them is in it. */
export function indicesOf(ranges: readonly Range[], cidrs: readonly Cidr[]): string[] {
  return ranges.map((range) => cidrs.map((cidr) => range.indexOf(cidr)).find((index) => index !== undefined) ?? '')
}

/** The CIDRs of a lease, `4:17 6:17`; what is no part of the cluster as we know it is left out. */
export function cidrsOfLease(ranges: readonly Range[], lease: string): Cidr[] {
  return [...lease.matchAll(/\b([46]):(\d{1,39})\b/g)].flatMap(([, family, index]) => {
    const range = ranges.find((one) => String(one.family) === family)
    return range?.cidrAt(index ?? '') ?? []
  })
}
