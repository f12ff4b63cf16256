import type { Logger } from 'pino'
import type { ViewProblem } from '../cluster/problem.ts'

/** Logs end on SD cards, and anybody who may write a policy may change it all day: of each object a line in this time. */
const SAME_AGAIN_MS = 60_000
/** And of all together so many. */
const LINES_MAX = 30

/** Tells what is wrong with policies, and with what they are about, when it is new; `bramblectl status` has all of it. */
export class ProblemLog {
  readonly #log: Logger
  readonly #nowMs: () => number
  #before = new Set<string>()
  /** By object, when it was told last. */
  readonly #told = new Map<string, number>()
  #lines = 0
  #sinceMs = Number.NEGATIVE_INFINITY

  /** @param nowMs only tests have another clock */
  constructor(log: Logger, nowMs: () => number = () => performance.now()) {
    this.#log = log
    this.#nowMs = nowMs
  }

  /** @param problems all that there are now */
  tell(problems: readonly ViewProblem[]): void {
    const fresh = problems.filter((problem) => !this.#before.has(textOf(problem)))
    this.#before = new Set(problems.map(textOf))
    for (const [object, own] of Map.groupBy(fresh, ({ object }) => object)) {
      const [first, ...others] = own
      if (first && this.#mayTell(object))
        this.#log.warn(
          { object, reason: first.reason, ...(others.length > 0 && { moreReasons: others.length }) },
          'a policy, or what policies are about, cannot be used as it is',
        )
    }
  }

  #mayTell(object: string): boolean {
    const nowMs = this.#nowMs()
    if (nowMs - this.#sinceMs >= SAME_AGAIN_MS) {
      this.#sinceMs = nowMs
      this.#lines = 0
      for (const [one, toldMs] of this.#told) if (nowMs - toldMs >= SAME_AGAIN_MS) this.#told.delete(one)
    }
    if (nowMs - (this.#told.get(object) ?? Number.NEGATIVE_INFINITY) < SAME_AGAIN_MS) return false
    if (++this.#lines === LINES_MAX + 1)
      this.#log.warn('more policies than are told here cannot be used as they are; see bramblectl policy show')
    if (this.#lines > LINES_MAX) return false
    this.#told.set(object, nowMs)
    return true
  }
}

function textOf({ object, reason }: ViewProblem): string {
  return `${object}: ${reason}`
}
