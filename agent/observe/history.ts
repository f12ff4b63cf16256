/** For so long it is told what was wrong and is not any more, and what was put back. */
export const REMEMBER_MS = 3_600_000

export interface AgedText {
  readonly text: string
  readonly secondsAgo: number
}

/** Since when each problem is there, and which was the last one that went. */
export class ProblemHistory {
  #since = new Map<string, number>()
  #gone: { readonly text: string; readonly atMs: number } | undefined

  /** @param problems all that there are now */
  look(problems: readonly string[], nowMs = performance.now()): void {
    const now = new Map(problems.map((text) => [text, this.#since.get(text) ?? nowMs]))
    for (const text of this.#since.keys()) if (!now.has(text)) this.#gone = { text, atMs: nowMs }
    this.#since = now
  }

  sinceMs(problem: string): number | undefined {
    return this.#since.get(problem)
  }

  /** The last one that is over; absent: there was none for an hour. */
  gone(nowMs = performance.now()): { readonly text: string; readonly atMs: number } | undefined {
    return this.#gone && nowMs - this.#gone.atMs < REMEMBER_MS ? this.#gone : undefined
  }
}
