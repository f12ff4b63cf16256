import { STATUS_ANNOTATION } from '../node-object.ts'
import type { ApiObject } from './answers.ts'

/** Longer than any that we write: what somebody else has written there is not kept. */
const CHARACTERS_MAX = 2048

/** What the agents of all nodes have published of themselves, beside the view: it changes often, and no node acts upon it. */
export class PublishedStatuses {
  #texts = new Map<string, string | undefined>()

  begin(): void {
    this.#texts = new Map()
  }

  put({ metadata: { name, annotations } }: ApiObject): void {
    const text = annotations?.[STATUS_ANNOTATION]
    this.#texts.set(name, text !== undefined && text.length <= CHARACTERS_MAX ? text : undefined)
  }

  remove({ metadata: { name } }: ApiObject): void {
    this.#texts.delete(name)
  }

  /** By the node's name; undefined: nothing. */
  all(): ReadonlyMap<string, string | undefined> {
    return this.#texts
  }
}
