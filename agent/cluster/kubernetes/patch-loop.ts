import { setTimeout as delay } from 'node:timers/promises'
import { Backoff, type BackoffLimits } from './backoff.ts'
import { ApiError, UnreachableError } from './errors.ts'

export interface PatchLoopParts {
  /** Whether what is known of the object is not as it should be. */
  readonly differs: () => boolean
  /** Asks for it to be so, and learns what came of it. @throws as ApiClient */
  readonly patch: (signal: AbortSignal) => Promise<void>
  /** The object is not there; until it is seen again. */
  readonly gone: () => void
  /** A failure, for people. */
  readonly inWords: (error: unknown) => string
  /** undefined: none any more */
  readonly onTrouble: (reason: string | undefined) => void
}

/** Patches an object until it is right: one patch when it is not, and the next only after a wait that grows. */
export class PatchLoop {
  readonly #parts: PatchLoopParts
  readonly #backoff: Backoff
  readonly #closing = new AbortController()
  #running: Promise<void> = Promise.resolve()
  #isRunning = false
  #trouble: string | undefined

  constructor(parts: PatchLoopParts, backoff?: BackoffLimits) {
    this.#parts = parts
    this.#backoff = new Backoff(backoff)
  }

  /** What is wanted, or what is known, has changed. */
  look(): void {
    if (!this.#differs) this.#tell(undefined)
    else if (!this.#isRunning) this.#running = this.#patchUntilRight()
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#running
  }

  get #differs(): boolean {
    return !this.#closing.signal.aborted && this.#parts.differs()
  }

  async #patchUntilRight(): Promise<void> {
    const { signal } = this.#closing
    this.#isRunning = true
    let waitMs = 0
    while (this.#differs) {
      await delay(Math.max(waitMs, this.#backoff.nextMs()), undefined, { signal }).catch(() => {})
      if (this.#differs) waitMs = await this.#patch()
    }
    this.#isRunning = false
  }

  /** @returns the milliseconds that the server wants us to wait */
  async #patch(): Promise<number> {
    const { patch, gone, inWords } = this.#parts
    try {
      await patch(this.#closing.signal)
      return 0
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) gone()
      // That the server is away is for those to tell who listen to it all the time.
      else if (!(error instanceof UnreachableError) && !this.#closing.signal.aborted) this.#tell(inWords(error))
      return error instanceof ApiError ? error.retryAfterMs : 0
    }
  }

  #tell(trouble: string | undefined): void {
    if (trouble === this.#trouble) return
    this.#trouble = trouble
    this.#parts.onTrouble(trouble)
  }
}
