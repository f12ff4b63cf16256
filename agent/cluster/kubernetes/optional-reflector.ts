import { Backoff, type BackoffLimits } from './backoff.ts'
import type { ApiClient } from './client.ts'
import { isServed } from './discovery.ts'
import { ApiError } from './errors.ts'
import { explain, roughly } from './explain.ts'
import { Rounds } from './rounds.ts'
import { Reflector, type Resource, type Sink } from './watch.ts'

/** In milliseconds: how often to look whether the kind has come or gone; and while there is trouble with it. */
export interface LookEvery {
  readonly quietMs: number
  readonly troubledMs: number
}

const LOOK_EVERY: LookEvery = { quietMs: 60_000, troubledMs: 2_000 }

/**
 * A Reflector of a kind that the API server may not have: its CRD may come and go while we run. Without it the list is
 * empty; whether there is one that could not be asked for is not known, and the sink is told nothing.
 */
export class OptionalReflector {
  readonly #client: ApiClient
  readonly #resource: Resource
  readonly #sink: Sink
  readonly #onTrouble: (reason: string | undefined) => void
  readonly #limits: BackoffLimits | undefined
  readonly #backoff: Backoff
  readonly #lookEvery: LookEvery
  readonly #rounds = new Rounds((signal) => this.#look(signal).catch((error: unknown) => this.#failed(error)))
  /** While the kind is there. */
  #reflector: Reflector | undefined
  #isAbsent = false
  #isTroubled = false
  #awaySinceMs: number | undefined

  /** @param backoff,lookEvery only tests have less patience */
  constructor(
    client: ApiClient,
    resource: Resource,
    sink: Sink,
    onTrouble: (reason: string | undefined) => void,
    backoff?: BackoffLimits,
    lookEvery: LookEvery = LOOK_EVERY,
  ) {
    this.#client = client
    this.#resource = resource
    this.#sink = sink
    this.#onTrouble = onTrouble
    this.#limits = backoff
    this.#backoff = new Backoff(backoff)
    this.#lookEvery = lookEvery
  }

  start(): void {
    this.#rounds.start()
  }

  async close(): Promise<void> {
    await this.#rounds.close()
    await this.#reflector?.close()
  }

  /** @returns the milliseconds until the next look */
  async #look(signal: AbortSignal): Promise<number> {
    const isThere = await isServed(this.#client, this.#resource, signal)
    this.#awaySinceMs = undefined
    if (isThere && !this.#reflector) this.#came()
    if (!isThere && !this.#isAbsent) await this.#went()
    if (!isThere) this.#tell(undefined)
    const { quietMs, troubledMs } = this.#lookEvery
    // By chance around it, so that agents that started together do not ask together.
    return this.#isTroubled ? troubledMs : quietMs * (0.75 + Math.random() / 2)
  }

  #came(): void {
    this.#isAbsent = false
    this.#tell(undefined)
    const tell = (reason: string | undefined) => {
      this.#tell(reason)
      if (reason !== undefined) this.#rounds.hurry() // it may be gone
    }
    this.#reflector = new Reflector(this.#client, this.#resource, this.#sink, tell, this.#limits)
    this.#reflector.start()
  }

  async #went(): Promise<void> {
    await this.#reflector?.close()
    this.#reflector = undefined
    this.#isAbsent = true
    this.#sink.begin()
    this.#sink.end('')
  }

  /** Where there is a reflector, it tells what is wrong. @returns the milliseconds until the next try */
  #failed(error: unknown): number {
    if (this.#rounds.signal.aborted) return 0
    this.#awaySinceMs ??= performance.now()
    const [resource] = /^\/apis\/[^/]+\/[^/]+/.exec(this.#resource.path) ?? [this.#resource.path]
    if (!this.#reflector)
      this.#tell(`${explain(error, { verb: 'get', resource })}, for ${roughly(performance.now() - this.#awaySinceMs)}`)
    return Math.max(this.#backoff.nextMs(), error instanceof ApiError ? error.retryAfterMs : 0)
  }

  #tell(reason: string | undefined): void {
    this.#isTroubled = reason !== undefined
    this.#onTrouble(reason)
  }
}
