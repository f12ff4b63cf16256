/** Longer than that nothing else of the agent waits. */
const SLICE_MS = 10
/** Within what `bramblectl` waits. */
const TOTAL_MS = 8_000

/** What is worked out for a person gives way to pods every few milliseconds, and ends in time. */
export class Patience {
  readonly #endMs = performance.now() + TOTAL_MS
  #sliceEndMs = performance.now() + SLICE_MS

  /** To be asked between two small pieces of work. */
  async isOver(): Promise<boolean> {
    if (performance.now() < this.#sliceEndMs) return false
    await new Promise((resolve) => setImmediate(resolve))
    this.#sliceEndMs = performance.now() + SLICE_MS
    return performance.now() > this.#endMs
  }
}
