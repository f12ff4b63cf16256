import { isDeepStrictEqual } from 'node:util'
import { LayeredMap } from '../layered-map.ts'
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
  #values = LayeredMap.empty<string, T>()
  /** The keys whose values differ from those. */
  readonly #stale = new Set<string>()
  readonly #problems = new Map<string, string>()
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

  /** As they are now; what is returned does not change. */
  values(): ReadonlyMap<string, T> {
    if (this.#stale.size > 0)
      this.#values = this.#values.with(Array.from(this.#stale, (key) => [key, this.#entries.get(key)?.value] as const))
    this.#stale.clear()
    return this.#values
  }

  /** By key: why an object, as it is now, cannot be used. */
  problems(): ReadonlyMap<string, string> {
    return this.#problems
  }

  get(key: string): T | undefined {
    return this.#entries.get(key)?.value
  }

  begin(): void {
    this.#listed = new Map()
  }

  put(object: ApiObject): void {
    if (this.#listed) this.#listed.set(keyOf(object), this.#entry(object))
    else this.putNow(object)
  }

  /** Whether a list has begun or not; its end forgets what was not in it. */
  putNow(object: ApiObject): void {
    const key = keyOf(object)
    const before = this.#entries.get(key)
    const entry = this.#entry(object)
    if (entry === before) return
    this.#entries.set(key, entry)
    this.#note(key, before, entry)
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

  /** The one that there is, while it is the same. */
  #entry(object: ApiObject): Entry<T> {
    const before = this.#entries.get(keyOf(object))
    const essence = this.#kind.essence(object)
    if (before?.essence === essence) return before
    try {
      const value = this.#kind.parse(object)
      return { essence, value: isDeepStrictEqual(value, before?.value) ? before?.value : value, problem: undefined }
    } catch (error) {
      return { essence, value: before?.value, problem: (error as Error).message }
    }
  }

  #note(key: string, before: Entry<T> | undefined, after: Entry<T> | undefined): void {
    if (after?.problem === undefined) this.#problems.delete(key)
    else this.#problems.set(key, after.problem)
    if (before?.value !== after?.value) {
      this.#changed.add(key)
      this.#stale.add(key)
    } else if (before?.problem === after?.problem) return
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
export function keyOf({ metadata: { namespace, name } }: ApiObject): string {
  return namespace ? `${namespace}/${name}` : name
}
