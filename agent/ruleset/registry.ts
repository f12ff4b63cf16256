/** Things by name, each there for as long as somebody uses it; what came and went is told when it is asked for. */
export class Registry<T> {
  readonly #used = new Map<string, { readonly thing: T; users: number }>()
  /** Whether it was there when it was asked last. */
  readonly #before = new Map<string, boolean>()

  get(name: string): T | undefined {
    return this.#used.get(name)?.thing
  }

  /** @param make only called for the first user */
  acquire(name: string, make: () => T): T {
    const used = this.#used.get(name)
    if (used) {
      used.users++
      return used.thing
    }
    this.#note(name, false)
    const thing = make()
    this.#used.set(name, { thing, users: 1 })
    return thing
  }

  /** @returns what was used for the last time */
  release(name: string): T | undefined {
    const used = this.#used.get(name)
    if (!used || --used.users > 0) return undefined
    this.#note(name, true)
    this.#used.delete(name)
    return used.thing
  }

  *[Symbol.iterator](): Generator<[string, T]> {
    for (const [name, { thing }] of this.#used) yield [name, thing]
  }

  /** Since this was asked last. */
  settle(): { readonly added: readonly T[]; readonly removed: readonly string[] } {
    const names = [...this.#before]
    this.#before.clear()
    return {
      added: names.flatMap(([name, wasThere]) => (wasThere ? [] : (this.get(name) ?? []))) as T[],
      removed: names.filter(([name, wasThere]) => wasThere && !this.#used.has(name)).map(([name]) => name),
    }
  }

  #note(name: string, wasThere: boolean): void {
    if (!this.#before.has(name)) this.#before.set(name, wasThere)
  }
}
