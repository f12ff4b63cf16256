import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { setImmediate as turn } from 'node:timers/promises'
import type { Logger } from 'pino'

const MODE = 0o600

/** The last word of a source, in a file on tmpfs, as JSON that says its format. */
export class KeptFile {
  readonly #path: string
  readonly #format: string
  readonly #what: string
  readonly #log: Logger

  /**
   * @param format another one is as none: it changes with what is written
   * @param what for the log: `the view of the cluster`
   */
  constructor(path: string, format: string, what: string, log: Logger) {
    this.#path = path
    this.#format = format
    this.#what = what
    this.#log = log
  }

  /** @returns undefined when there is none that can be read: the parser may throw */
  read<T>(parse: (value: Readonly<Record<string, unknown>>) => T): T | undefined {
    try {
      const value = JSON.parse(readFileSync(this.#path, 'utf8'))
      if (value.format !== this.#format)
        throw new Error(`its format is ${JSON.stringify(value.format)}, and not ${this.#format}`)
      return parse(value)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        this.#log.warn({ err: error }, `${this.#what} that was kept cannot be read; it is as if there were none`)
      return undefined
    }
  }

  /** Beside it, then in its place: half a file is none. @param lists by name, their items as JSON */
  write(lists: Lists): void {
    try {
      writeFileSync(this.#unfinished, [...this.#pieces(lists)].join(''), { mode: MODE })
      renameSync(this.#unfinished, this.#path)
    } catch (error) {
      this.#failed(error)
    }
  }

  /** The same, but others have their turn meanwhile: thousands of objects are tens of milliseconds of work. Never two at a time. */
  async writeInTurns(lists: Lists): Promise<void> {
    try {
      const pieces: string[] = []
      for (const piece of this.#pieces(lists)) {
        pieces.push(piece)
        await turn()
      }
      await writeFile(this.#unfinished, pieces, { mode: MODE })
      await rename(this.#unfinished, this.#path)
    } catch (error) {
      this.#failed(error)
    }
  }

  get #unfinished(): string {
    return `${this.#path}.new`
  }

  #failed(error: unknown): void {
    this.#log.warn({ err: error }, `${this.#what} cannot be kept; the next agent has to ask for it`)
  }

  /** Of the JSON, one after the other. */
  *#pieces(lists: Lists): Generator<string> {
    yield `{"format":"${this.#format}"`
    for (const [name, pieces] of Object.entries(lists)) {
      yield `,"${name}":[`
      let isFirst = true
      for (const piece of pieces) {
        yield isFirst ? piece : `,${piece}`
        isFirst = false
      }
      yield ']'
    }
    yield '}'
  }
}

/** By name: items as JSON, with commas between them, so many at a time as are little work. */
export type Lists = Readonly<Record<string, Iterable<string>>>

/** So many are less than a millisecond of work. */
const ITEMS_AT_ONCE = 100

/** Of a list, without its brackets. */
export function* jsonPieces<T>(items: readonly T[], format: (item: T) => string): Generator<string> {
  for (let start = 0; start < items.length; start += ITEMS_AT_ONCE)
    yield items
      .slice(start, start + ITEMS_AT_ONCE)
      .map((item) => format(item))
      .join()
}
