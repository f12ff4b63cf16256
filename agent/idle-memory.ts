import { forgetFilePages } from './kernel/file-pages.ts'
import { bind } from './kernel/libc.ts'

/** Long enough that a node that is filling up with pods is never interrupted. */
const QUIET_MS = 5_000

const mallocTrim = bind<[number]>('int malloc_trim(size_t pad)')

/**
 * Gives memory back when the burst is over. V8 collects when it needs room, not when others do: after hundreds of
 * calls it sits on some 12 MiB of garbage and compiled code that a quiet agent never needs again.
 */
export class IdleMemory {
  /** One for all of them: there is one heap. */
  static #timer: NodeJS.Timeout | undefined

  /** Something was done; 5 s after the last such call, all that can go goes (some 15 ms of work). */
  touched(): void {
    if (IdleMemory.#timer) {
      IdleMemory.#timer.refresh()
      return
    }
    IdleMemory.#timer = setTimeout(() => {
      IdleMemory.#timer = undefined
      globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' }) // there with --expose-gc only
      mallocTrim(0)
      forgetFilePages()
    }, QUIET_MS)
    IdleMemory.#timer.unref()
  }
}
