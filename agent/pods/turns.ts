import { setImmediate as eventLoopTurn } from 'node:timers/promises'

/**
 * Work on the same key waits its turn; work on different keys never waits for each other. A turn ends when the kernel's
 * events of what was done have been heard, too: they come by way of the event loop, and speak of what is half done.
 */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>()

  /** How many keys have work under way or waiting. */
  get busy(): number {
    return this.#last.size
  }

  isBusy(key: string): boolean {
    return this.#last.has(key)
  }

  /**
   * One work on many keys, which waits for none of them.
   * @param work gets those keys that had no work under way; whatever comes for them waits until it is done
   */
  async takeFree<T>(keys: Iterable<string>, work: (free: ReadonlySet<string>) => Promise<T>): Promise<T> {
    const free = new Set([...keys].filter((key) => !this.isBusy(key)))
    const done = Promise.withResolvers<void>()
    for (const key of free) this.take(key, () => done.promise)
    try {
      return await work(free)
    } finally {
      done.resolve()
    }
  }

  take<T>(key: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#last.get(key) ?? Promise.resolve()).then(work)
    const settled = turn.then(heard, heard)
    this.#last.set(key, settled)
    settled.then(() => {
      if (this.#last.get(key) === settled) this.#last.delete(key)
    })
    return turn
  }
}

/** The first one may be of this turn of the event loop, before it has looked at its sockets. */
async function heard(): Promise<void> {
  await eventLoopTurn()
  await eventLoopTurn()
}
