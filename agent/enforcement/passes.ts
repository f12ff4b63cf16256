/** Changes of the cluster come in bursts; a pod that starts does not wait for it. */
const SETTLE_MS = 10
/** From one pass to the next, unless a pod starts: where pods come and go all the time, ninety a second are too many. */
const REST_MS = 30
const RETRY_MS = { first: 1_000, most: 30_000 } as const

/** One pass after the other: soon, where something has changed; at once, where a pod waits for it; again, where one has failed. */
export class Passes {
  readonly #pass: () => Promise<void>
  #retryMs: number = RETRY_MS.first
  #running: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #dueAtMs = 0
  #restUntilMs = 0
  #isStarted = false
  #isClosed = false

  /** @param pass brings about all that is known when it begins; who is not waiting hears of no failure of it */
  constructor(pass: () => Promise<void>) {
    this.#pass = pass
  }

  /** Before, passes are made only for who waits for one. */
  start(): void {
    this.#isStarted = true
    this.soon()
  }

  soon(settleMs = SETTLE_MS): void {
    if (!this.#isStarted || this.#isClosed) return
    const dueAtMs = Math.max(performance.now() + settleMs, this.#restUntilMs)
    if (!this.#timer || dueAtMs < this.#dueAtMs) this.#runIn(dueAtMs - performance.now())
  }

  /** One that begins from here on, with whatever comes until it does. @throws what the pass throws */
  now(): Promise<void> {
    this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined
        this.#running = this.#run()
        return this.#running
      })
    return this.#next
  }

  /** Ends when the one that runs has ended. */
  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    await this.#running.catch(() => {})
  }

  async #run(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#isClosed) throw new Error('the agent ends; the next one takes over')
    this.#restUntilMs = performance.now() + REST_MS
    try {
      await this.#pass()
      this.#retryMs = RETRY_MS.first
    } catch (error) {
      if (!this.#timer) this.#runIn(this.#retryMs)
      this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS.most)
      throw error
    }
  }

  #runIn(waitMs: number): void {
    clearTimeout(this.#timer)
    this.#dueAtMs = performance.now() + waitMs
    this.#timer = setTimeout(() => this.now().catch(() => {}), waitMs).unref()
  }
}
