import { ApiError, ApiProtocolError, UnreachableError } from './errors.ts'

/** In milliseconds. */
export interface PulseLimits {
  /** Longer than bookmarks are apart (k8s.io/apiserver, cacher: a minute, and looked at each 1.25 s): who gets them asks nothing. */
  readonly quietMs: number
  readonly answerMs: number
}

export const PULSE: PulseLimits = { quietMs: 65_000, answerMs: 10_000 }

/** Of quietMs, added by chance: agents that lost the same server do not ask together. */
const SPREAD = 1 / 13

export interface PulseParts {
  /** Something small. Any answer is one, a refusal too. */
  readonly ask: (signal: AbortSignal) => Promise<unknown>
  /** It gave none: what else is kept of its connections. */
  readonly onHung: () => void
}

/**
 * A server that hangs takes connections, and its kernel answers their probes: only its silence tells. When nothing has come on any
 * watch for longer than it should, it is asked; and when it gives no answer, all watches end, which would otherwise wait for
 * what never comes.
 */
export class Pulse {
  readonly #parts: PulseParts
  readonly #limits: PulseLimits
  readonly #watches = new Set<(error: UnreachableError) => void>()
  #timer: NodeJS.Timeout | undefined
  #pieces = 0

  constructor(parts: PulseParts, limits: PulseLimits = PULSE) {
    this.#parts = parts
    this.#limits = limits
  }

  /** A watch has begun. @param hangUp ends it @returns to be called when it has ended */
  watching(hangUp: (error: UnreachableError) => void): () => void {
    this.#pieces++ // it has just been agreed to
    this.#watches.add(hangUp)
    const { quietMs } = this.#limits
    this.#timer ??= setTimeout(() => this.#ask(), quietMs * (1 + Math.random() * SPREAD))
    return () => {
      this.#watches.delete(hangUp)
      if (this.#watches.size > 0) return
      clearTimeout(this.#timer)
      this.#timer = undefined
    }
  }

  /** Something has come on one of them. */
  heard(): void {
    this.#pieces++
    this.#timer?.refresh()
  }

  async #ask(): Promise<void> {
    const { answerMs } = this.#limits
    const pieces = this.#pieces
    const failure = await this.#parts.ask(AbortSignal.timeout(answerMs)).then(
      () => undefined,
      (error: unknown) => error,
    )
    const isAnswer = failure === undefined || failure instanceof ApiError || failure instanceof ApiProtocolError
    if (isAnswer || pieces !== this.#pieces) return void this.#timer?.refresh()
    const { errno, words } =
      failure instanceof UnreachableError
        ? failure
        : { errno: 'ETIMEDOUT', words: `no answer within ${answerMs / 1000} s` }
    for (const hangUp of this.#watches) hangUp(new UnreachableError('WATCH', errno, words))
    this.#parts.onHung()
  }
}
