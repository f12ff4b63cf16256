import type { ApiObject } from './answers.ts'
import { keyOf } from './store.ts'
import type { Sink } from './watch.ts'

/** A few words of each object that has any for people, beside the view: no node acts upon them. */
export class Noted<T> implements Sink {
  readonly #read: (object: ApiObject) => T | undefined
  readonly #notes = new Map<string, T>()
  /** Of a list that has begun and not ended. */
  #listed: Set<string> | undefined
  #isWhole = false

  /** @param read must be cheap, and throw nothing; undefined: nothing to note */
  constructor(read: (object: ApiObject) => T | undefined) {
    this.#read = read
  }

  begin(): void {
    this.#listed = new Set()
  }

  put(object: ApiObject): void {
    const key = keyOf(object)
    const note = this.#read(object)
    if (note === undefined) return void this.#notes.delete(key)
    this.#listed?.add(key)
    this.#notes.set(key, note)
  }

  remove(object: ApiObject): void {
    this.#notes.delete(keyOf(object))
  }

  end(): void {
    for (const key of this.#notes.keys()) if (!this.#listed?.has(key)) this.#notes.delete(key)
    this.#listed = undefined
    this.#isWhole = true
  }

  /** By `name` or `namespace/name`; undefined until a list has been seen to its end. */
  all(): ReadonlyMap<string, T> | undefined {
    return this.#isWhole ? this.#notes : undefined
  }
}

/** One after the other. */
export function both(first: Sink, second: Sink): Sink {
  return {
    begin: () => {
      first.begin()
      second.begin()
    },
    put: (object) => {
      first.put(object)
      second.put(object)
    },
    remove: (object) => {
      first.remove(object)
      second.remove(object)
    },
    end: (version) => {
      first.end(version)
      second.end(version)
    },
  }
}
