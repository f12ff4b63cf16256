/** Does its work when a burst is over; and in the midst of one that does not end. */
export class AfterBurst {
  readonly #work: () => void
  readonly #quietMs: number
  readonly #atLeastEveryMs: number
  #timer: NodeJS.Timeout | undefined
  #sinceMs = 0

  /** @param quietMs without a call, and the burst is over @param atLeastEveryMs how long one may keep the work waiting */
  constructor(work: () => void, quietMs: number, atLeastEveryMs: number) {
    this.#work = work
    this.#quietMs = quietMs
    this.#atLeastEveryMs = atLeastEveryMs
  }

  /** Something was done. */
  touched(): void {
    if (this.#timer) {
      if (performance.now() - this.#sinceMs < this.#atLeastEveryMs - this.#quietMs) this.#timer.refresh()
      return
    }
    this.#sinceMs = performance.now()
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#work()
    }, this.#quietMs)
    this.#timer.unref()
  }
}
