import { setTimeout as delay } from 'node:timers/promises'
import { ANNOTATION } from '../node-object.ts'
import type { ApiObject } from './answers.ts'
import { Backoff, type BackoffLimits } from './backoff.ts'
import type { ApiClient } from './client.ts'
import { ApiError, UnreachableError } from './errors.ts'
import { explain } from './explain.ts'
import { isOlder } from './resource-version.ts'

/**
 * Keeps our annotations on the own Node as this node wants them, with as few patches as possible: one when they are known
 * to differ, and the next only after a wait that grows, lest two who disagree write without end.
 */
export class Announcer {
  readonly #client: ApiClient
  readonly #path: string
  readonly #onTrouble: (reason: string | undefined) => void
  readonly #backoff: Backoff
  readonly #closing = new AbortController()
  #running: Promise<void> = Promise.resolve()
  #isRunning = false
  /** By annotation. */
  readonly #wanted = new Map<string, string>()
  /** As far as we have heard; undefined: the Node is not there, or we have not heard. */
  #actual: { readonly texts: Readonly<Record<string, string>>; readonly version: string } | undefined
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

  want(text: string, annotation = ANNOTATION): void {
    this.#wanted.set(annotation, text)
    this.#look()
  }

  /** The own Node, from wherever. What was under way before our own patch came to pass tells nothing any more. */
  seen({ metadata: { annotations: texts = {}, resourceVersion: version = '' } }: ApiObject): void {
    if (this.#actual && isOlder(version, this.#actual.version)) return
    this.#actual = { texts, version }
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
    return !this.#closing.signal.aborted && this.#unwritten.length > 0
  }

  /** None while it is not known what is there. */
  get #unwritten(): (readonly [annotation: string, text: string])[] {
    const texts = this.#actual?.texts
    return texts ? [...this.#wanted].filter(([annotation, text]) => texts[annotation] !== text) : []
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
    const annotations = Object.fromEntries(this.#unwritten)
    const patch = { metadata: { annotations } }
    try {
      this.seen(await this.#client.mergePatch(this.#path, patch, this.#closing.signal))
      return 0
    } catch (error) {
      if (error instanceof ApiError && error.status === 404)
        this.forget() // until it is seen again
      // That the server is away is for those to tell who listen to it all the time.
      else if (!(error instanceof UnreachableError) && !this.#closing.signal.aborted)
        this.#tell(
          `annotation ${Object.keys(annotations).join(', ')} cannot be written: ${explain(error, { verb: 'patch', resource: 'nodes' })}`,
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
