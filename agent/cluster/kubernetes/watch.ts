import type { ApiObject } from './answers.ts'
import { Backoff, type BackoffLimits } from './backoff.ts'
import type { ApiClient } from './client.ts'
import { ApiError, UnreachableError } from './errors.ts'
import { type Attempt, explain, roughly } from './explain.ts'
import { isOlder } from './resource-version.ts'
import { Rounds } from './rounds.ts'

/** How long the server is asked to keep one watch, in seconds; by chance, so that agents do not come back together. */
const WATCH_SECONDS = { least: 300, most: 600 } as const
/** A watch that was agreed to may still break at once; after so long nothing is wrong any more. */
const HEALTHY_AFTER_MS = 2_000

/** All objects of one kind. */
export interface Resource {
  /** `/api/v1/nodes` */
  readonly path: string
  readonly apiVersion: string
  readonly kind: string
  /** `nodes`, as RBAC calls it; with its group, if it has one. */
  readonly name: string
}

/** What is told of the objects: lists from `begin` to `end`, and changes between them. A list that breaks off begins again. */
export interface Sink {
  begin(): void
  put(object: ApiObject): void
  remove(object: ApiObject): void
  /** What was not put since `begin` is gone. @param version of the list */
  end(version: string): void
}

/**
 * Keeps a sink as the API server has it: lists, then watches from the list's version on, and comes back by itself after
 * whatever happens to the connection. A list without a version is of the newest state, never of an older one than
 * the last: that is worth the pages that etcd reads for it.
 */
export class Reflector {
  readonly #client: ApiClient
  readonly #resource: Resource
  readonly #sink: Sink
  readonly #onTrouble: (reason: string | undefined) => void
  readonly #backoff: Backoff
  readonly #rounds = new Rounds(() => this.#round())
  /** undefined: to be listed. */
  #version: string | undefined
  #awaySinceMs: number | undefined
  #trouble: string | undefined

  /** @param onTrouble called with what is wrong, when that changes; with undefined when all is well again */
  constructor(
    client: ApiClient,
    resource: Resource,
    sink: Sink,
    onTrouble: (reason: string | undefined) => void,
    backoff?: BackoffLimits,
  ) {
    this.#client = client
    this.#resource = resource
    this.#sink = sink
    this.#onTrouble = onTrouble
    this.#backoff = new Backoff(backoff)
  }

  start(): void {
    this.#rounds.start()
  }

  close(): Promise<void> {
    return this.#rounds.close()
  }

  async #round(): Promise<number> {
    const waitMs = await this.#once().catch((error: unknown) => this.#failed(error))
    return Math.max(waitMs, this.#backoff.nextMs())
  }

  /** Up to the end of one watch. @returns 0, the milliseconds to wait */
  async #once(): Promise<number> {
    if (this.#version !== undefined && (await this.#isOfTheFuture(this.#version))) this.#version = undefined
    this.#version ??= await this.#list()
    await this.#watch(this.#version)
    return 0
  }

  /**
   * After etcd was restored from a backup its versions go back, and a watch from a later one is accepted and tells
   * nothing until they have caught up. It takes new connections to get there, so each of them looks.
   */
  async #isOfTheFuture(version: string): Promise<boolean> {
    return isOlder(await this.#client.newestVersion(this.#resource.path, this.#rounds.signal), version)
  }

  /** @returns the list's version */
  async #list(): Promise<string> {
    const { path, kind, apiVersion } = this.#resource
    this.#sink.begin()
    const version = await this.#client.list(path, this.#rounds.signal, (item) =>
      this.#sink.put(Object.assign(item, { kind, apiVersion })),
    )
    this.#sink.end(version)
    this.#healthy()
    return version
  }

  async #watch(resourceVersion: string): Promise<void> {
    const { least, most } = WATCH_SECONDS
    const timeoutSeconds = String(least + Math.floor(Math.random() * (most - least + 1)))
    const query = { resourceVersion, timeoutSeconds, allowWatchBookmarks: 'true' }
    let healthy: NodeJS.Timeout | undefined
    try {
      await this.#client.watch(
        this.#resource.path,
        query,
        this.#rounds.signal,
        () => (healthy = setTimeout(() => this.#healthy(), HEALTHY_AFTER_MS)),
        ({ type, object }) => {
          if (type === 'DELETED') this.#sink.remove(object)
          else if (type !== 'BOOKMARK') this.#sink.put(object)
          this.#version = object.metadata.resourceVersion ?? this.#version
          this.#healthy()
        },
      )
    } catch (error) {
      throw new WatchFailure(error, healthy !== undefined)
    } finally {
      clearTimeout(healthy)
    }
  }

  #healthy(): void {
    this.#awaySinceMs = undefined
    this.#tell(undefined)
  }

  /** @returns the milliseconds that the server wants us to wait */
  #failed(failure: unknown): number {
    if (this.#rounds.signal.aborted) return 0
    const attempt: Attempt = { verb: failure instanceof WatchFailure ? 'watch' : 'list', resource: this.#resource.name }
    const error = failure instanceof WatchFailure ? failure.cause : failure
    if (asksForList(error)) this.#version = undefined
    this.#awaySinceMs ??= performance.now()
    // History ends, servers restart, connections break: who comes back at once has nothing to tell. One that was silent has been away.
    const isUsual = isGone(error) || (failure instanceof WatchFailure && failure.wasOpen && isBreak(error))
    if (!isUsual) this.#tell(`${explain(error, attempt)}, for ${roughly(performance.now() - this.#awaySinceMs)}`)
    return error instanceof ApiError ? error.retryAfterMs : 0
  }

  #tell(trouble: string | undefined): void {
    if (trouble === this.#trouble) return
    this.#trouble = trouble
    this.#onTrouble(trouble)
  }
}

/** A watch broke off, before or after the server had agreed to it. */
class WatchFailure extends Error {
  readonly wasOpen: boolean

  constructor(cause: unknown, wasOpen: boolean) {
    super('watch', { cause })
    this.wasOpen = wasOpen
  }
}

/** The history that we ask for is compacted away, or a list took longer than its snapshot lived. */
const isGone = (error: unknown) => error instanceof ApiError && error.status === 410

const isBreak = (error: unknown) => error instanceof UnreachableError && error.errno !== 'ETIMEDOUT'

/** Whether the version may be of no more use; not where the server is only busy, or does not let us in. */
const asksForList = (error: unknown) => error instanceof ApiError && ![401, 403, 429, 503].includes(error.status)
