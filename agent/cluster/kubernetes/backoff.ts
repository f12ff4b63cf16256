/** In milliseconds. */
export interface BackoffLimits {
  readonly firstMs: number
  readonly mostMs: number
}

const BACKOFF: BackoffLimits = { firstMs: 200, mostMs: 30_000 }

/** So many of the longest waits without a try, and the trouble is over: a try may itself take as long as one. */
const QUIET_WAITS = 4

/**
 * How long to wait before the next try: anything up to a limit that doubles ("full jitter"), so that a thousand agents
 * that lost the same server do not come back to it together.
 */
export class Backoff {
  readonly #limits: BackoffLimits
  #limitMs: number
  #movedAtMs = 0

  constructor(limits: BackoffLimits = BACKOFF) {
    this.#limits = limits
    this.#limitMs = limits.firstMs
  }

  /** Counts a try. After a long time without one all is forgotten. */
  nextMs(): number {
    const nowMs = performance.now()
    if (nowMs - this.#movedAtMs > QUIET_WAITS * this.#limits.mostMs) this.#limitMs = this.#limits.firstMs
    this.#movedAtMs = nowMs
    const waitMs = Math.random() * this.#limitMs
    this.#limitMs = Math.min(this.#limitMs * 2, this.#limits.mostMs)
    return waitMs
  }
}
