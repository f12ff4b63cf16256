/** The elements of a set, of which several may claim the same one; what came and went is told when it is asked for. */
export class Elements {
  readonly #present = new Set<string>()
  /** Claims beyond the first. */
  readonly #more = new Map<string, number>()
  /** Whether it was there when it was asked last; absent until it was asked once. */
  #before: Map<string, boolean> | undefined
  /** Called when the first one comes or goes after it was asked. */
  onChange: () => void = () => {}

  get present(): ReadonlySet<string> {
    return this.#present
  }

  add(element: string): void {
    if (this.#present.has(element)) this.#more.set(element, (this.#more.get(element) ?? 0) + 1)
    else {
      this.#note(element, false)
      this.#present.add(element)
    }
  }

  delete(element: string): void {
    const more = this.#more.get(element)
    if (more === undefined) {
      this.#note(element, true)
      this.#present.delete(element)
    } else if (more === 1) this.#more.delete(element)
    else this.#more.set(element, more - 1)
  }

  /** Since this was asked last; the first time nothing is told. */
  settle(): { readonly added: readonly string[]; readonly removed: readonly string[] } {
    const before = this.#before
    if (before === undefined || before.size > 0) this.#before = new Map()
    if (before === undefined || before.size === 0) return NOTHING
    const added: string[] = []
    const removed: string[] = []
    for (const [element, wasThere] of before) {
      const isThere = this.#present.has(element)
      if (isThere !== wasThere) (isThere ? added : removed).push(element)
    }
    return { added, removed }
  }

  #note(element: string, wasThere: boolean): void {
    if (!this.#before || this.#before.has(element)) return
    if (this.#before.size === 0) this.onChange()
    this.#before.set(element, wasThere)
  }
}

const NOTHING = { added: [], removed: [] } as const
