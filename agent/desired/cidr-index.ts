import { ADDRESS_BITS, type Cidr } from '../../ipam/address.ts'

/**
 * Whose CIDR overlaps which others', found without looking at all of them: two CIDRs overlap only if one holds the
 * other, so the holders of a CIDR are found by shortening it to each length that is in use.
 */
export class CidrIndex {
  /** By `family/prefixLength`, then by the number of the first address. */
  readonly #byLength = new Map<string, Map<bigint, Set<string>>>()

  add(owner: string, cidr: Cidr): void {
    const length = `${cidr.family}/${cidr.prefixLength}`
    const entries = this.#byLength.get(length) ?? new Map<bigint, Set<string>>()
    this.#byLength.set(length, entries)
    const owners = entries.get(cidr.first) ?? new Set()
    entries.set(cidr.first, owners.add(owner))
  }

  delete(owner: string, cidr: Cidr): void {
    const length = `${cidr.family}/${cidr.prefixLength}`
    const entries = this.#byLength.get(length)
    const owners = entries?.get(cidr.first)
    owners?.delete(owner)
    if (owners?.size === 0) entries?.delete(cidr.first)
    if (entries?.size === 0) this.#byLength.delete(length)
  }

  /** All whose CIDRs hold this one, are held by it, or are the same. */
  overlapping({ family, first, prefixLength }: Cidr): Set<string> {
    const found = new Set<string>()
    for (const [key, entries] of this.#byLength) {
      const [indexFamily, length] = key.split('/').map(Number)
      if (indexFamily !== family || length === undefined) continue
      const hostBits = BigInt(ADDRESS_BITS[family] - Math.min(length, prefixLength))
      const start = (first >> hostBits) << hostBits
      if (length <= prefixLength) for (const owner of entries.get(start) ?? []) found.add(owner)
      else
        for (const [inner, owners] of entries)
          if ((inner >> hostBits) << hostBits === start) for (const owner of owners) found.add(owner)
    }
    return found
  }
}
