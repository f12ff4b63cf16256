import { ADDRESS_BITS, type Cidr, type Family, familyOf, numberOf } from './address.ts'

/** Their owners, by the number of the network. */
type Networks = Map<bigint, Set<string>>

/**
 * Whose CIDR overlaps which others', found without looking at all of them: two CIDRs overlap only if one holds the
 * other, so the holders of a CIDR are found by shortening it to each length that is in use.
 *
 * A network is known by its number, without the bits of hosts: V8 hashes a bigint by its lowest 64 bits, which in an IPv6
 * network's first address are zeros, so that all would be in one bucket.
 */
export class CidrIndex {
  readonly #byLength: Readonly<Record<Family, Map<number, Networks>>> = { 4: new Map(), 6: new Map() }

  add(owner: string, { family, first, prefixLength }: Cidr): void {
    const networks: Networks = this.#byLength[family].get(prefixLength) ?? new Map()
    this.#byLength[family].set(prefixLength, networks)
    const number = networkNumber(family, first, prefixLength)
    networks.set(number, (networks.get(number) ?? new Set()).add(owner))
  }

  delete(owner: string, { family, first, prefixLength }: Cidr): void {
    const networks = this.#byLength[family].get(prefixLength)
    const number = networkNumber(family, first, prefixLength)
    const owners = networks?.get(number)
    owners?.delete(owner)
    if (owners?.size === 0) networks?.delete(number)
    if (networks?.size === 0) this.#byLength[family].delete(prefixLength)
  }

  /** All whose CIDRs hold this one, are held by it, or are the same. */
  overlapping({ family, first, prefixLength }: Omit<Cidr, 'text'>): Set<string> {
    const found = new Set<string>()
    for (const [length, networks] of this.#byLength[family]) {
      const number = networkNumber(family, first, Math.min(length, prefixLength))
      if (length <= prefixLength) for (const owner of networks.get(number) ?? []) found.add(owner)
      else {
        const innerBits = BigInt(length - prefixLength)
        for (const [inner, owners] of networks)
          if (inner >> innerBits === number) for (const owner of owners) found.add(owner)
      }
    }
    return found
  }

  /** All whose CIDRs hold this address. */
  holding(address: string): Set<string> {
    const family = familyOf(address)
    return this.overlapping({ family, first: numberOf(address), prefixLength: ADDRESS_BITS[family] })
  }
}

function networkNumber(family: Family, first: bigint, prefixLength: number): bigint {
  return first >> BigInt(ADDRESS_BITS[family] - prefixLength)
}
