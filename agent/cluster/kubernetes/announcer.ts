import { ANNOTATION } from '../node-object.ts'
import type { ApiObject } from './answers.ts'
import type { BackoffLimits } from './backoff.ts'
import type { ApiClient } from './client.ts'
import { explain } from './explain.ts'
import { PatchLoop } from './patch-loop.ts'
import { isOlder } from './resource-version.ts'

/**
 * Keeps our annotations on the own Node as this node wants them, with as few patches as possible: one when they are known
 * to differ, and the next only after a wait that grows, lest two who disagree write without end.
 */
export class Announcer {
  readonly #client: ApiClient
  readonly #path: string
  readonly #loop: PatchLoop
  /** By annotation. */
  readonly #wanted = new Map<string, string>()
  /** Those that the last patch was for. */
  #asked: readonly string[] = []
  /** As far as we have heard; undefined: the Node is not there, or we have not heard. */
  #actual: { readonly texts: Readonly<Record<string, string>>; readonly version: string } | undefined

  /** @param path of the own Node */
  constructor(
    client: ApiClient,
    path: string,
    onTrouble: (reason: string | undefined) => void,
    backoff?: BackoffLimits,
  ) {
    this.#client = client
    this.#path = path
    const differs = () => this.#unwritten.length > 0
    const patch = (signal: AbortSignal) => this.#patch(signal)
    const inWords = (error: unknown) => this.#inWords(error)
    this.#loop = new PatchLoop({ differs, patch, gone: () => this.forget(), inWords, onTrouble }, backoff)
  }

  want(text: string, annotation = ANNOTATION): void {
    this.#wanted.set(annotation, text)
    this.#loop.look()
  }

  /** The own Node, from wherever. What was under way before our own patch came to pass tells nothing any more. */
  seen({ metadata: { annotations: texts = {}, resourceVersion: version = '' } }: ApiObject): void {
    if (this.#actual && isOlder(version, this.#actual.version)) return
    this.#actual = { texts, version }
    this.#loop.look()
  }

  /** What is there is not known any more. Before a list: a server that was restored from a backup has older versions. */
  forget(): void {
    this.#actual = undefined
    this.#loop.look()
  }

  close(): Promise<void> {
    return this.#loop.close()
  }

  /** None while it is not known what is there. */
  get #unwritten(): (readonly [annotation: string, text: string])[] {
    const texts = this.#actual?.texts
    return texts ? [...this.#wanted].filter(([annotation, text]) => texts[annotation] !== text) : []
  }

  async #patch(signal: AbortSignal): Promise<void> {
    const annotations = Object.fromEntries(this.#unwritten)
    this.#asked = Object.keys(annotations)
    const patch = { metadata: { annotations } }
    this.seen(await this.#client.mergePatch(this.#path, patch, signal))
  }

  #inWords(error: unknown): string {
    return `annotation ${this.#asked.join(', ')} cannot be written: ${explain(error, { verb: 'patch', resource: 'nodes' })}`
  }
}
