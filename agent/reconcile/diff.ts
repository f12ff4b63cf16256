/** What it takes to get from the objects that are there to those that should be. */
export interface Difference<T> {
  readonly missing: readonly T[]
  readonly changed: readonly { readonly desired: T; readonly actual: T }[]
  /** There, and not desired. */
  readonly extra: readonly T[]
}

/** How objects of one kind are compared. */
export interface Comparison<T> {
  /** The kernel's own identity of the object, e.g. table, destination and metric of a route. */
  key(object: T): string
  equal(a: T, b: T): boolean
}

/** Pure. Of objects with the same key the last one counts. */
export function diff<T>(desired: Iterable<T>, actual: Iterable<T>, { key, equal }: Comparison<T>): Difference<T> {
  const there = new Map<string, T>()
  for (const object of actual) there.set(key(object), object)
  const missing: T[] = []
  const changed: { desired: T; actual: T }[] = []
  const wanted = new Map<string, T>()
  for (const object of desired) wanted.set(key(object), object)
  for (const [name, object] of wanted) {
    const found = there.get(name)
    if (found === undefined) missing.push(object)
    else if (!equal(object, found)) changed.push({ desired: object, actual: found })
  }
  const extra = [...there].filter(([name]) => !wanted.has(name)).map(([, object]) => object)
  return { missing, changed, extra }
}
