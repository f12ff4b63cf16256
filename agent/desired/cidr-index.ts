import { ADDRESS_BITS, type Cidr } from '../../ipam/address.ts'

/**
 * Whose CIDR overlaps which others', found without looking at all of them: two CIDRs overlap only if one holds the
 * other, so the holders of a CIDR are found by shortening it to each length that is in use.
 *
 * A network is known by its number, without the bits of hosts: V8 hashes a bigint by its lowest 64 bits, which in an IPv6
 * network's first address are zeros, so that all would be in one bucket.
 */
export class CidrIndex {
  /** By `family/prefixLength`, then by the number of the network. */
  readonly #byLength = new Map<string, Map<bigint, Set<string>>>()

  add(owner: string, cidr: Cidr): void {
    const length = `${cidr.family}/${cidr.prefixLength}`
    const entries = this.#byLength.get(length) ?? new Map<bigint, Set<string>>()
    this.#byLength.set(length, entries)
    const number = networkNumber(cidr, cidr.prefixLength)
    const owners = entries.get(number) ?? new Set()
    entries.set(number, owners.add(owner))
  }

  delete(owner: string, cidr: Cidr): void {
    const length = `${cidr.family}/${cidr.prefixLength}`
    const entries = this.#byLength.get(length)
    const number = networkNumber(cidr, cidr.prefixLength)
    const owners = entries?.get(number)
    owners?.delete(owner)
    if (owners?.size === 0) entries?.delete(number)
    if (entries?.size === 0) this.#byLength.delete(length)
  }

  /** All whose CIDRs hold this one, are held by it, or are the same. */
  overlapping(cidr: Cidr): Set<string> {
    const found = new Set<string>()
    for (const [key, entries] of this.#byLength) {
      const [family, length] = key.split('/').map(Number)
      if (family !== cidr.family || length === undefined) continue
      const number = networkNumber(cidr, Math.min(length, cidr.prefixLength))
      if (length <= cidr.prefixLength) for (const owner of entries.get(number) ?? []) found.add(owner)
      else {
        const innerBits = BigInt(length - cidr.prefixLength)
        for (const [inner, owners] of entries)
          if (inner >> innerBits === number) for (const owner of owners) found.add(owner)
      }
    }
    return found
  }
}

function networkNumber({ family, first }: Cidr, prefixLength: number): bigint {
  return first >> BigInt(ADDRESS_BITS[family] - prefixLength)
}
