import type { Family } from './family.ts'
import { Histogram } from './histogram.ts'

/** A sleeping Pi is woken for it: once a second shows what lasts, and perf_hooks' own measure wakes it a hundred times. */
const LOOK_EVERY_MS = 1_000

/** How long what is due has to wait for what runs. */
export class EventLoopDelay {
  readonly #delays = new Histogram('bramble_event_loop_delay_seconds', [{}])
  readonly #timer: NodeJS.Timeout
  #dueAtMs = performance.now() + LOOK_EVERY_MS

  constructor() {
    this.#timer = setInterval(() => {
      const nowMs = performance.now()
      this.#delays.observe({}, Math.max(0, nowMs - this.#dueAtMs) / 1000)
      this.#dueAtMs = nowMs + LOOK_EVERY_MS
    }, LOOK_EVERY_MS).unref()
  }

  family(): Family {
    return this.#delays.family()
  }

  close(): void {
    clearInterval(this.#timer)
  }
}
