import { getLink, parseLink } from '../kernel/links.ts'
import type { Netlink } from '../kernel/netlink.ts'

/** Our tunnel links by name: what lies on them is told by an index, which a link has only when it is there. */
export class TunnelIndexes {
  readonly #netlink: Netlink
  readonly #indexes = new Map<string, number>()

  constructor(netlink: Netlink) {
    this.#netlink = netlink
  }

  /** All that are there, and no others. */
  replaceAll(links: readonly { readonly name: string; readonly index: number }[]): void {
    this.#indexes.clear()
    for (const { name, index } of links) this.#indexes.set(name, index)
  }

  set(name: string, index: number): void {
    this.#indexes.set(name, index)
  }

  delete(name: string): void {
    this.#indexes.delete(name)
  }

  get entries(): readonly (readonly [name: string, index: number])[] {
    return [...this.#indexes]
  }

  /** Of a tunnel of ours, as far as is known. */
  own(name: string): number | undefined {
    return this.#indexes.get(name)
  }

  /** @returns undefined when it is no tunnel of ours */
  nameOf(index: number): string | undefined {
    for (const [name, tunnel] of this.#indexes) if (tunnel === index) return name
    return undefined
  }

  /** Of any link, ours or the node's own. @returns undefined when there is none of that name */
  async indexOf(name: string): Promise<number | undefined> {
    const known = this.#indexes.get(name)
    if (known !== undefined) return known
    const [shown] = await this.#netlink.trySend([getLink(name)])
    return Array.isArray(shown) && shown[0] ? parseLink(shown[0]).index : undefined
  }
}
