import { ADDRESS_BITS, type Cidr, contains, formatAddress, numberOf } from './address.ts'

/** How long a freed address rests before it is given again: peers' caches and connections forget it meanwhile. */
export const COOL_DOWN_MS = 60_000

/**
 * Addresses that were never given are preferred to freed ones, and a /64 has no end of them: beyond so many freed
 * ones the oldest is taken again, so that the pool's memory has a bound.
 */
const FREED_KEPT_MAX = 65_536

export interface FreedAddress {
  readonly address: string
  /** Monotonic, in milliseconds. */
  readonly freedAtMs: number
}

export interface PoolUse {
  readonly cidr: string
  /** Usable addresses: all but the first, which is left to the node. */
  readonly capacity: number
  readonly used: number
  readonly cooling: number
  readonly free: number
}

/**
 * The addresses of one CIDR: which are held, and in which order the others are given out. Every operation costs the
 * same however large the CIDR is. Time comes from outside, monotonic, in milliseconds.
 */
export class Pool {
  readonly cidr: Cidr
  readonly capacity: number
  readonly #held = new Set<number>()
  readonly #freed = new FreedQueue()
  #neverGiven = 1

  constructor(cidr: Cidr) {
    this.cidr = cidr
    const addresses = 2 ** (ADDRESS_BITS[cidr.family] - cidr.prefixLength)
    this.capacity = Math.min(addresses, Number.MAX_SAFE_INTEGER) - 1
  }

  get isExhausted(): boolean {
    return this.#held.size >= this.capacity
  }

  /** @returns the address that has rested longest. @throws Error when the pool is exhausted: look first */
  allocate(nowMs: number): string {
    const oldest = this.#freed.first()
    const isRested = oldest !== undefined && nowMs - oldest.freedAtMs >= COOL_DOWN_MS
    const offset =
      isRested && this.#freed.size >= FREED_KEPT_MAX
        ? this.#freed.take()
        : (this.#takeNeverGiven() ?? this.#freed.take())
    if (offset === undefined) throw new Error(`allocate() on the exhausted pool ${this.cidr.text}`)
    this.#held.add(offset)
    return formatAddress(this.cidr.family, this.cidr.first + BigInt(offset))
  }

  /** Marks an address as held, as after a restart; one that is never given is let be. @returns false when it is held already */
  claim(address: string): boolean {
    const offset = this.#offsetOf(address)
    if (offset === undefined) return true
    if (this.#held.has(offset)) return false
    this.#freed.delete(offset)
    this.#held.add(offset)
    return true
  }

  /** Gives an address back; it rests from now on. Of one that is not held nothing is changed. */
  release(address: string, nowMs: number): void {
    const offset = this.#offsetOf(address)
    if (offset !== undefined && this.#held.delete(offset)) this.#freed.add(offset, nowMs)
  }

  /** Notes that an address was freed at that time, unless it is held; to be called in the order of the times. */
  rest(address: string, freedAtMs: number): void {
    const offset = this.#offsetOf(address)
    if (offset !== undefined && !this.#held.has(offset)) this.#freed.add(offset, freedAtMs)
  }

  /** Whether it is one of those that are given out, now or another time. */
  gives(address: string): boolean {
    return this.#offsetOf(address) !== undefined
  }

  /** The addresses that were freed last, oldest first. @param most so many at most */
  freed(most = Number.POSITIVE_INFINITY): FreedAddress[] {
    return [...this.#freed].slice(-most).map(({ offset, freedAtMs }) => ({
      address: formatAddress(this.cidr.family, this.cidr.first + BigInt(offset)),
      freedAtMs,
    }))
  }

  use(nowMs: number): PoolUse {
    const used = this.#held.size
    const cooling = this.#freed.countSince(nowMs - COOL_DOWN_MS)
    return { cidr: this.cidr.text, capacity: this.capacity, used, cooling, free: this.capacity - used - cooling }
  }

  #takeNeverGiven(): number | undefined {
    while (this.#neverGiven <= this.capacity) {
      const offset = this.#neverGiven++
      if (!this.#held.has(offset) && !this.#freed.has(offset)) return offset
    }
    return undefined
  }

  #offsetOf(address: string): number | undefined {
    if (!contains(this.cidr, address)) return undefined
    const offset = Number(numberOf(address) - this.cidr.first)
    return offset >= 1 && offset <= this.capacity ? offset : undefined
  }
}

interface FreedEntry {
  readonly offset: number
  readonly freedAtMs: number
}

/** First in, first out; what is deleted from the middle leaves a hole that is skipped when its turn comes. */
class FreedQueue {
  /** The entry that counts; others of the same offset in the queue are holes. */
  readonly #current = new Map<number, FreedEntry>()
  #entries: FreedEntry[] = []
  #head = 0

  get size(): number {
    return this.#current.size
  }

  has(offset: number): boolean {
    return this.#current.has(offset)
  }

  add(offset: number, freedAtMs: number): void {
    const entry = { offset, freedAtMs }
    this.#current.set(offset, entry)
    this.#entries.push(entry)
  }

  delete(offset: number): void {
    this.#current.delete(offset)
  }

  first(): FreedEntry | undefined {
    for (let entry = this.#entries[this.#head]; entry; entry = this.#entries[++this.#head])
      if (this.#isCurrent(entry)) return entry
    return undefined
  }

  take(): number | undefined {
    const entry = this.first()
    if (!entry) return undefined
    this.#head++
    this.#current.delete(entry.offset)
    if (this.#head > 1024 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head)
      this.#head = 0
    }
    return entry.offset
  }

  /** Counted from the newest backwards, so it costs as much as there is to count. */
  countSince(ms: number): number {
    let count = 0
    for (let index = this.#entries.length - 1; index >= this.#head; index--) {
      const entry = this.#entries[index]
      if (!entry || entry.freedAtMs <= ms) break
      if (this.#isCurrent(entry)) count++
    }
    return count
  }

  *[Symbol.iterator](): Generator<FreedEntry> {
    for (const entry of this.#entries.slice(this.#head)) if (this.#isCurrent(entry)) yield entry
  }

  #isCurrent(entry: FreedEntry): boolean {
    return this.#current.get(entry.offset) === entry
  }
}
