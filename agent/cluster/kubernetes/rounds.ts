import { setTimeout as delay } from 'node:timers/promises'

/** One thing done again and again, until it is closed. */
export class Rounds {
  readonly #round: (signal: AbortSignal) => Promise<number>
  readonly #closing = new AbortController()
  #nap = new AbortController()
  #running: Promise<void> | undefined

  /** @param round never throws; returns the milliseconds until the next. The signal is aborted when it shall end */
  constructor(round: (signal: AbortSignal) => Promise<number>) {
    this.#round = round
  }

  start(): void {
    this.#running = this.#run()
  }

  /** After the round that runs, the next begins at once. */
  hurry(): void {
    this.#nap.abort()
  }

  /** Aborted from close() on. */
  get signal(): AbortSignal {
    return this.#closing.signal
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#nap.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.signal.aborted) {
      this.#nap = new AbortController()
      const waitMs = await this.#round(this.signal)
      if (!this.signal.aborted) await delay(waitMs, undefined, { signal: this.#nap.signal }).catch(() => {})
    }
  }
}
