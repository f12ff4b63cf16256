import { setTimeout as delay } from 'node:timers/promises'
import { ANNOTATION } from '../node-object.ts'
import type { ApiObject } from './answers.ts'
import { Backoff, type BackoffLimits } from './backoff.ts'
import type { ApiClient } from './client.ts'
import { ApiError, UnreachableError } from './errors.ts'
import { explain } from './explain.ts'
import { isOlder } from './resource-version.ts'

/**
 * Keeps our annotation on the own Node as this node wants it, with as few patches as possible: one when it is known to
 * differ, and the next only after a wait that grows, lest two who disagree write without end.
 */
export class Announcer {
  readonly #client: ApiClient
  readonly #path: string
  readonly #onTrouble: (reason: string | undefined) => void
  readonly #backoff: Backoff
  readonly #closing = new AbortController()
  #running: Promise<void> = Promise.resolve()
  #isRunning = false
  #wanted: string | undefined
  /** As far as we have heard; undefined: the Node is not there, or we have not heard. */
  #actual: { readonly text: string | undefined; readonly version: string } | undefined
  #trouble: string | undefined

  /** @param path of the own Node */
  constructor(
    client: ApiClient,
    path: string,
    onTrouble: (reason: string | undefined) => void,
    backoff?: BackoffLimits,
  ) {
    this.#client = client
    this.#path = path
    this.#onTrouble = onTrouble
    this.#backoff = new Backoff(backoff)
  }

  want(text: string): void {
    this.#wanted = text
    this.#look()
  }

  /** The own Node, from wherever. What was under way before our own patch came to pass tells nothing any more. */
  seen({ metadata: { annotations, resourceVersion: version = '' } }: ApiObject): void {
    if (this.#actual && isOlder(version, this.#actual.version)) return
    this.#actual = { text: annotations?.[ANNOTATION], version }
    this.#look()
  }

  /** What is there is not known any more. Before a list: a server that was restored from a backup has older versions. */
  forget(): void {
    this.#actual = undefined
    this.#look()
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#running
  }

  get #differs(): boolean {
    if (this.#closing.signal.aborted || this.#wanted === undefined || !this.#actual) return false
    return this.#actual.text !== this.#wanted
  }

  #look(): void {
    if (!this.#differs) this.#tell(undefined)
    else if (!this.#isRunning) this.#running = this.#patchUntilRight()
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
    const patch = { metadata: { annotations: { [ANNOTATION]: this.#wanted } } }
    try {
      this.seen(await this.#client.mergePatch(this.#path, patch, this.#closing.signal))
      return 0
    } catch (error) {
      if (error instanceof ApiError && error.status === 404)
        this.forget() // until it is seen again
      // That the server is away is for those to tell who listen to it all the time.
      else if (!(error instanceof UnreachableError) && !this.#closing.signal.aborted)
        this.#tell(
          `annotation ${ANNOTATION} cannot be written: ${explain(error, { verb: 'patch', resource: 'nodes' })}`,
        )
      return error instanceof ApiError ? error.retryAfterMs : 0
    }
  }

  #tell(trouble: string | undefined): void {
    if (trouble === this.#trouble) return
    this.#trouble = trouble
    this.#onTrouble(trouble)
  }
}
