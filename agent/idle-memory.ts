import { AfterBurst } from './after-burst.ts'
import { forgetFilePages } from './kernel/file-pages.ts'
import { bind } from './kernel/libc.ts'

/** Long enough that a node that is filling up with pods is never interrupted. */
const QUIET_MS = 5_000
/** Where there is always something, in a cluster whose pods come and go, it happens all the same. */
const AT_LEAST_EVERY_MS = 60_000

const mallocTrim = bind<[number]>('int malloc_trim(size_t pad)')

/**
 * Gives memory back when the burst is over. V8 collects when it needs room, not when others do: after hundreds of
 * calls it sits on some 12 MiB of garbage and compiled code that a quiet agent never needs again. And of the program
 * itself most was needed by its start alone.
 */
export class IdleMemory {
  /** One for all of them: there is one heap. */
  static readonly #afterBurst = new AfterBurst(giveBack, QUIET_MS, AT_LEAST_EVERY_MS)

  /** Something was done; 5 s after the last such call, and not later than in a minute, all that can go goes (some 15 ms of work). */
  touched(): void {
    IdleMemory.#afterBurst.touched()
  }
}

function giveBack(): void {
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' }) // there with --expose-gc only
  mallocTrim(0)
  forgetFilePages()
}
