import { ADDRESS_BITS, type Cidr, type Family, familyOf, numberOf } from '../../ipam/address.ts'

/**
 * Whose address lies in a CIDR, found without looking at all of them: for each length of prefix that was ever asked
 * about (one or two, as nodes have theirs from one cluster) addresses are also known by their first bits.
 */
export class AddressIndex {
  readonly #entries = new Map<string, { readonly owner: string; readonly address: string }>()
  /** By `family/prefixLength`, then by the number of the network: keys of entries. */
  readonly #byLength = new Map<string, Map<bigint, Set<string>>>()

  add(owner: string, address: string): void {
    const key = `${owner} ${address}`
    this.#entries.set(key, { owner, address })
    for (const length of this.#byLength.keys()) this.#file(key, address, length)
  }

  delete(owner: string, address: string): void {
    const key = `${owner} ${address}`
    this.#entries.delete(key)
    for (const [length, networks] of this.#byLength) {
      const number = networkNumber(address, length)
      if (number === undefined) continue
      networks.get(number)?.delete(key)
      if (networks.get(number)?.size === 0) networks.delete(number)
    }
  }

  /** The first by the owner's name. */
  firstWithin({ family, first, prefixLength }: Cidr): { readonly owner: string; readonly address: string } | undefined {
    const length = `${family}/${prefixLength}`
    if (!this.#byLength.has(length)) {
      this.#byLength.set(length, new Map())
      for (const [key, { address }] of this.#entries) this.#file(key, address, length)
    }
    const found = this.#byLength.get(length)?.get(first >> BigInt(ADDRESS_BITS[family] - prefixLength)) ?? []
    return this.#entries.get([...found].sort()[0] ?? '')
  }

  #file(key: string, address: string, length: string): void {
    const number = networkNumber(address, length)
    const networks = this.#byLength.get(length)
    if (number !== undefined) networks?.set(number, (networks.get(number) ?? new Set()).add(key))
  }
}

/** @param length `family/prefixLength` @returns undefined for the other family */
function networkNumber(address: string, length: string): bigint | undefined {
  const [family, prefixLength = 0] = length.split('/').map(Number)
  if (familyOf(address) !== family) return undefined
  return numberOf(address) >> BigInt(ADDRESS_BITS[family as Family] - prefixLength)
}
