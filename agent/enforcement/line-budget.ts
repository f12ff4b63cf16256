/** Logs end on SD cards: whatever is dropped, no more lines than these. */
const LINES_PER_SECOND_MAX = 5
/** Who is not heard calls again and again: the same is told once in this time. */
const SAME_AGAIN_MS = 60_000
/** So many different things of one are told at once, and then one in this time: who scans ports hides nobody else. */
const LINES_OF_ONE_MAX = 3
const ONE_AGAIN_MS = 10_000
const REMEMBERED_MAX = 500

/** Says which lines a log of many has room for. */
export class LineBudget {
  /** When each was told last. */
  readonly #told = new Map<string, number>()
  /** How many lines each has left, and since when. */
  readonly #left = new Map<string, { lines: number; sinceMs: number }>()
  #second = { startMs: Number.NEGATIVE_INFINITY, lines: 0 }

  /**
   * @param what that is told
   * @param who it is about: each has a part of its own
   * @param nowMs of a clock that only goes forward
   */
  mayTell(what: string, who: string, nowMs: number): boolean {
    if (nowMs - (this.#told.get(what) ?? Number.NEGATIVE_INFINITY) < SAME_AGAIN_MS) return false
    const { lines, sinceMs } = this.#left.get(who) ?? { lines: LINES_OF_ONE_MAX, sinceMs: nowMs }
    const more = Math.floor((nowMs - sinceMs) / ONE_AGAIN_MS)
    const left = Math.min(LINES_OF_ONE_MAX, lines + more)
    if (left === 0) return false
    if (nowMs - this.#second.startMs >= 1_000) this.#second = { startMs: nowMs, lines: 0 }
    if (this.#second.lines >= LINES_PER_SECOND_MAX) return false
    this.#second.lines++
    for (const map of [this.#told, this.#left]) if (map.size >= REMEMBERED_MAX) map.clear()
    this.#told.set(what, nowMs)
    this.#left.set(who, { lines: left - 1, sinceMs: left === LINES_OF_ONE_MAX ? nowMs : sinceMs + more * ONE_AGAIN_MS })
    return true
  }
}
