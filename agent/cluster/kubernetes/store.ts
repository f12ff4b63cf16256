import { isDeepStrictEqual } from 'node:util'
import type { ApiObject } from './answers.ts'
import type { Sink } from './watch.ts'

/** What is wanted of the objects of one kind. */
export interface Kind<T> {
  /** All of an object that `parse` looks at, as text: while that is the same, nothing has changed. Must be cheap. */
  essence(object: ApiObject): string
  /** @throws Error whose message says what is wrong with the object */
  parse(object: ApiObject): T
}

interface Entry<T> {
  readonly essence: string
  /** The last good one. */
  readonly value: T | undefined
  readonly problem: string | undefined
}

/**
 * The objects of one kind, parsed, by `name` or `namespace/name`. The objects themselves are not kept, and most events
 * (a node's heartbeat) end at the comparison of two texts. A value that stays equal stays the same.
 */
export class ObjectStore<T> implements Sink {
  readonly #kind: Kind<T>
  readonly #onChange: (changed: ReadonlySet<string>) => void
  #entries = new Map<string, Entry<T>>()
  /** Of a list that has begun and not ended. */
  #listed: Map<string, Entry<T>> | undefined
  #isWhole = false
  #changed = new Set<string>()
  #timer: NodeJS.Immediate | undefined

  /** @param onChange what happened in one turn of the event loop; an empty set: only problems did */
  constructor(kind: Kind<T>, onChange: (changed: ReadonlySet<string>) => void) {
    this.#kind = kind
    this.#onChange = onChange
  }

  /** A list has been seen to its end. */
  get isWhole(): boolean {
    return this.#isWhole
  }

  values(): Map<string, T> {
    const values = new Map<string, T>()
    for (const [key, { value }] of this.#entries) if (value !== undefined) values.set(key, value)
    return values
  }

  /** By key: why an object, as it is now, cannot be used. */
  problems(): Map<string, string> {
    const problems = new Map<string, string>()
    for (const [key, { problem }] of this.#entries) if (problem !== undefined) problems.set(key, problem)
    return problems
  }

  begin(): void {
    this.#listed = new Map()
  }

  put(object: ApiObject): void {
    const key = keyOf(object)
    const before = this.#entries.get(key)
    const essence = this.#kind.essence(object)
    const entry = before?.essence === essence ? before : this.#entry(object, essence, before)
    if (this.#listed) this.#listed.set(key, entry)
    else if (entry !== before) {
      this.#entries.set(key, entry)
      this.#note(key, before, entry)
    }
  }

  remove(object: ApiObject): void {
    const key = keyOf(object)
    const before = this.#entries.get(key)
    if (this.#entries.delete(key)) this.#note(key, before, undefined)
  }

  end(): void {
    const before = this.#entries
    this.#entries = this.#listed ?? before
    this.#listed = undefined
    for (const [key, entry] of this.#entries) if (entry !== before.get(key)) this.#note(key, before.get(key), entry)
    for (const [key, entry] of before) if (!this.#entries.has(key)) this.#note(key, entry, undefined)
    if (!this.#isWhole) this.#schedule()
    this.#isWhole = true
  }

  close(): void {
    clearImmediate(this.#timer)
  }

  #entry(object: ApiObject, essence: string, before: Entry<T> | undefined): Entry<T> {
    try {
      const value = this.#kind.parse(object)
      return { essence, value: isDeepStrictEqual(value, before?.value) ? before?.value : value, problem: undefined }
    } catch (error) {
      return { essence, value: before?.value, problem: (error as Error).message }
    }
  }

  #note(key: string, before: Entry<T> | undefined, after: Entry<T> | undefined): void {
    if (before?.value !== after?.value) this.#changed.add(key)
    else if (before?.problem === after?.problem) return
    this.#schedule()
  }

  #schedule(): void {
    this.#timer ??= setImmediate(() => {
      this.#timer = undefined
      const changed = this.#changed
      this.#changed = new Set()
      this.#onChange(changed)
    })
  }
}

/** As kubectl names it. */
function keyOf({ metadata: { namespace, name } }: ApiObject): string {
  return namespace ? `${namespace}/${name}` : name
}
