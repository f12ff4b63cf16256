import type { ApiObject } from './answers.ts'
import { isOlder } from './resource-version.ts'
import { keyOf, type ObjectStore } from './store.ts'
import type { Sink } from './watch.ts'

/**
 * A store that hears of objects on two ways: all of them from a list and a watch, which may be late, and single ones that
 * were asked for. By their versions, which grow over all objects of a kind, the newer word counts, whichever comes first.
 */
export class AheadOfWatch<T> implements Sink {
  readonly #store: ObjectStore<T>
  /** Up to here everything has been told, by the watch or by a list. */
  #toldUpTo: string | undefined
  #isListing = false
  /** What was answered and has not been told yet. */
  readonly #ahead = new Map<string, ApiObject>()
  /** Of these what the list that is under way has, or something newer: it was asked for later. */
  #listed: ReadonlySet<ApiObject> = new Set()

  constructor(store: ObjectStore<T>) {
    this.#store = store
  }

  /** An answer of the API server about one object. */
  answered(object: ApiObject): void {
    const version = versionOf(object)
    // What is no newer has been told; and if it is not in the store, so has its end.
    if (this.#toldUpTo !== undefined && !isOlder(this.#toldUpTo, version)) return
    if (this.#isOvertaken(object)) return
    this.#ahead.set(keyOf(object), object)
    this.#store.putNow(object)
  }

  begin(): void {
    this.#isListing = true
    this.#listed = new Set(this.#ahead.values())
    this.#store.begin()
  }

  put(object: ApiObject): void {
    if (this.#isCaughtUp(object)) this.#store.put(object)
  }

  remove(object: ApiObject): void {
    if (this.#isCaughtUp(object)) this.#store.remove(object)
  }

  /** What was answered since the server made the list stays; what it has left out meanwhile is gone. */
  end(version: string): void {
    this.#isListing = false
    this.#toldUpTo = version
    for (const [key, object] of this.#ahead)
      if (isOlder(version, versionOf(object)) && !this.#listed.has(object)) this.#store.put(object)
      else this.#ahead.delete(key)
    this.#listed = new Set()
    this.#store.end()
  }

  /** Whether what the watch tells of an object is at least as new as what is known of it. */
  #isCaughtUp(object: ApiObject): boolean {
    if (this.#isListing) return true // in the end the whole list is compared
    this.#toldUpTo = versionOf(object)
    if (this.#isOvertaken(object)) return false
    this.#ahead.delete(keyOf(object))
    return true
  }

  #isOvertaken(object: ApiObject): boolean {
    const ahead = this.#ahead.get(keyOf(object))
    return ahead !== undefined && isOlder(versionOf(object), versionOf(ahead))
  }
}

const versionOf = ({ metadata: { resourceVersion = '' } }: ApiObject) => resourceVersion
