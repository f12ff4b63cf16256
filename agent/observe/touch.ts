import type { ViewChange } from '../cluster/view.ts'

/** How old what we know of the cluster is: a datastore that is heard says at once what changes, so its word is never old. */
export class Touch {
  /** As its problems name the datastore; undefined: it cannot be away. */
  readonly #server: string | undefined
  #lostAtMs: number | undefined
  #changedAtMs: number | undefined
  #changes = 0

  constructor(server: string | undefined) {
    this.#server = server
  }

  heard({ view, changed, problems }: ViewChange): void {
    const isAway = problems.some(({ object }) => object === this.#server)
    this.#lostAtMs = isAway ? (this.#lostAtMs ?? performance.now()) : undefined
    if (!view || (this.#changedAtMs !== undefined && changed?.size === 0)) return
    this.#changedAtMs = performance.now()
    this.#changes++
  }

  get server(): string | undefined {
    return this.#server
  }

  get ageSeconds(): number {
    return this.#lostAtMs === undefined ? 0 : (performance.now() - this.#lostAtMs) / 1000
  }

  get isAway(): boolean {
    return this.#lostAtMs !== undefined
  }

  /** Absent: it has not told anything yet. */
  get changedAtMs(): number | undefined {
    return this.#changedAtMs
  }

  get changes(): number {
    return this.#changes
  }
}
