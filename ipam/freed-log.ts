import { appendFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { isAddress } from './address.ts'
import type { FreedStore } from './leases.ts'
import type { FreedAddress } from './pool.ts'

/**
 * When which address was freed, over restarts of the agent: a file on tmpfs, one line each, appended.
 *
 *     bramble-freed/1 BOOT-ID
 *     MONOTONIC-MS ADDRESS
 *
 * Monotonic time starts anew with every boot, so another boot's file says nothing. A torn or foreign line is passed
 * over. When the file cannot be written, nothing stops: only the rest of 60 s would be cut short by a restart.
 */
const FORMAT = 'bramble-freed/1'
const LINES_MAX = 16_384

export class FreedLog implements FreedStore {
  readonly #path: string
  readonly #header: string
  readonly #onTrouble: (error: Error) => void
  #current: () => Iterable<FreedAddress>
  #lines = 0

  /** @param onTrouble called for each failed write, and for a file of another format */
  constructor(path: string, bootId: string, onTrouble: (error: Error) => void) {
    this.#path = path
    this.#header = `${FORMAT} ${bootId}\n`
    this.#onTrouble = onTrouble
    this.#current = () => []
  }

  /** What was freed before this start, oldest first; empty when there is no file of this boot. */
  read(): FreedAddress[] {
    let content: string
    try {
      content = readFileSync(this.#path, 'utf8')
    } catch {
      return []
    }
    if (!content.startsWith(this.#header)) {
      const isOtherBoot = content.startsWith(`${FORMAT} `)
      const isCut = this.#header.startsWith(content)
      if (!isOtherBoot && !isCut)
        this.#onTrouble(new Error(`${this.#path} is of another format than ${FORMAT}; it is begun anew`))
      return []
    }
    const last = new Map<string, number>()
    for (const line of content.slice(this.#header.length).split('\n').slice(0, -1)) {
      const [, ms, address] = /^(\d{1,15}) ([0-9a-f.:]+)$/.exec(line) ?? []
      if (!ms || !address || !isAddress(address)) continue
      last.delete(address)
      last.set(address, Number(ms))
    }
    return [...last].map(([address, freedAtMs]) => ({ address, freedAtMs }))
  }

  /** Begins a fresh file, and from now on rewrites it from `current` when it has grown. */
  start(current: () => Iterable<FreedAddress>): void {
    this.#current = current
    this.#attempt(() => {
      mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 })
      this.#rewrite()
    })
  }

  append(addresses: readonly string[], freedAtMs: number): void {
    this.#attempt(() => {
      this.#lines += addresses.length
      if (this.#lines > LINES_MAX) this.#rewrite()
      else
        appendFileSync(this.#path, addresses.map((address) => lineOf({ address, freedAtMs })).join(''), { mode: 0o600 })
    })
  }

  #rewrite(): void {
    const lines = Array.from(this.#current(), lineOf).slice(-LINES_MAX / 2)
    writeFileSync(`${this.#path}.new`, this.#header + lines.join(''), { mode: 0o600 })
    renameSync(`${this.#path}.new`, this.#path)
    this.#lines = lines.length
  }

  #attempt(write: () => void): void {
    try {
      write()
    } catch (error) {
      this.#onTrouble(error as Error)
    }
  }
}

function lineOf({ address, freedAtMs }: FreedAddress): string {
  return `${Math.floor(freedAtMs)} ${address}\n`
}
