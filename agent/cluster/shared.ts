/** So many different ones are remembered: then it begins anew, lest those of pods long gone stay for ever. */
const REMEMBERED_MAX = 4_096

/** One object for all values that say the same: ten thousand pods have a few hundred different labels. */
export class Shared<T> {
  readonly #known = new Map<string, T>()

  /** @returns the first value that was written like this one; both must never change */
  of(value: T): T {
    const text = JSON.stringify(value)
    const known = this.#known.get(text)
    if (known !== undefined) return known
    if (this.#known.size >= REMEMBERED_MAX) this.#known.clear()
    this.#known.set(text, value)
    return value
  }
}
