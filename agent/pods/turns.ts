/** Work on the same key waits its turn; work on different keys never waits for each other. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>()

  /** How many keys have work under way or waiting. */
  get busy(): number {
    return this.#last.size
  }

  take<T>(key: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#last.get(key) ?? Promise.resolve()).then(work)
    const settled = turn.then(
      () => {},
      () => {},
    )
    this.#last.set(key, settled)
    settled.then(() => {
      if (this.#last.get(key) === settled) this.#last.delete(key)
    })
    return turn
  }
}
