import { type Family, familyOf, numberOf } from '../../ipam/address.ts'
import type { AddressRange } from '../cluster/policy.ts'
import type { ClusterNode } from '../cluster/view.ts'

/** One address of a node, and the families of its tunnels' ends. */
interface Place {
  readonly family: Family
  readonly number: bigint
  readonly ends: readonly Family[]
}

/** The nodes by their addresses: a rule about ranges in which there is none has no set of tunnels' ends. */
export class TunnelEnds {
  readonly #byNode = new Map<string, readonly Place[]>()
  /** In order; undefined: to be put in order. */
  #sorted: readonly Place[] | undefined
  #version = 0

  /** Another one with each change that may make a difference. */
  get version(): number {
    return this.#version
  }

  /** @param node undefined: it is gone. Of its addresses each is one. */
  take(name: string, node: ClusterNode | undefined): void {
    const places = node ? placesOf(node) : []
    if (textOf(this.#byNode.get(name) ?? []) === textOf(places)) return
    if (places.length > 0) this.#byNode.set(name, places)
    else this.#byNode.delete(name)
    this.#sorted = undefined
    this.#version++
  }

  /** The families of which a node that has an address in one of these ranges has a tunnel's end. */
  familiesIn(ranges: readonly AddressRange[]): Family[] {
    this.#sorted ??= [...this.#byNode.values()].flat().sort(byAddress)
    const found = new Set<Family>()
    for (const { family, first, last } of ranges)
      for (let index = firstAt(this.#sorted, family, first); found.size < 2; index++) {
        const place = this.#sorted[index]
        if (place?.family !== family || place.number > last) break
        for (const end of place.ends) found.add(end)
      }
    return [...found].sort()
  }
}

function placesOf({ addresses, otherAddresses = [], podCidrs }: ClusterNode): Place[] {
  const ends = [...new Set(podCidrs.map(({ family }) => family))]
  if (ends.length === 0) return []
  return [...addresses, ...otherAddresses].map((address) => {
    return { family: familyOf(address), number: numberOf(address), ends }
  })
}

function textOf(places: readonly Place[]): string {
  return places.map(({ family, number, ends }) => `${family} ${number} ${ends}`).join()
}

function byAddress(a: Place, b: Place): number {
  if (a.family !== b.family) return a.family - b.family
  return a.number < b.number ? -1 : Number(a.number > b.number)
}

/** The index of the first that is not before the address. */
function firstAt(places: readonly Place[], family: Family, number: bigint): number {
  let [low, high] = [0, places.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    const place = places[middle] as Place
    if (place.family < family || (place.family === family && place.number < number)) low = middle + 1
    else high = middle
  }
  return low
}
