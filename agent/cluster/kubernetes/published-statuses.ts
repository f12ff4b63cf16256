import { STATUS_ANNOTATION } from '../node-object.ts'
import type { PublishedText } from '../view.ts'
import type { ApiObject } from './answers.ts'

/** Longer than any that we write: what somebody else has written there is not kept. */
const CHARACTERS_MAX = 2048

/** What the agents of all nodes have published of themselves, beside the view: it changes often, and no node acts upon it. */
export class PublishedStatuses {
  readonly #texts = new Map<string, PublishedText | undefined>()
  /** Of a list that has begun and not ended: what was there may be old. */
  #listed: Set<string> | undefined

  begin(): void {
    this.#listed = new Set()
  }

  put({ metadata: { name, annotations } }: ApiObject): void {
    this.#listed?.add(name)
    const text = annotations?.[STATUS_ANNOTATION]
    const isKept = text !== undefined && text.length <= CHARACTERS_MAX
    if (isKept && this.#texts.get(name)?.text === text) return
    const heard = this.#listed ? {} : { heardAtMs: performance.now() }
    this.#texts.set(name, isKept ? { text, ...heard } : undefined)
  }

  remove({ metadata: { name } }: ApiObject): void {
    this.#texts.delete(name)
  }

  end(): void {
    for (const name of this.#texts.keys()) if (!this.#listed?.has(name)) this.#texts.delete(name)
    this.#listed = undefined
  }

  /** By the node's name; undefined: nothing. */
  all(): ReadonlyMap<string, PublishedText | undefined> {
    return this.#texts
  }
}
