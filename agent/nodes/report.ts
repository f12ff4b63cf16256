import type { Logger } from 'pino'
import type { ViewProblem } from '../cluster/problem.ts'
import type { Outcome } from '../reconcile/apply.ts'

/** A store that is full of rubbish must not fill the log, which may be on an SD card. */
const PROBLEMS_LOGGED = 50

const CANNOT = 'the network between nodes is not as it should be; see the log of bramble-agent'

/** What a person should know of the network between nodes; in the log it is told once. */
export class Report {
  readonly #log: Logger
  #viewProblems: readonly ViewProblem[] = []
  #failures: readonly string[] = []
  /** What the kernel lacks, as it was logged. */
  #said: ReadonlySet<string> = new Set()

  constructor(log: Logger) {
    this.#log = log
  }

  /** In words; empty is good. @param desired those of what should be there */
  problems(desired: readonly string[]): string[] {
    return [...this.#viewProblems.map(textOf), ...desired, ...this.#failures]
  }

  /** @param problems all that there are with the cluster */
  told(problems: readonly ViewProblem[]): void {
    const known = new Set(this.#viewProblems.map(textOf))
    const news = problems.filter((problem) => !known.has(textOf(problem)))
    for (const { object, reason } of news.slice(0, PROBLEMS_LOGGED))
      this.#log.warn({ object, reason }, 'the cluster has something that cannot be used')
    const more = news.length - PROBLEMS_LOGGED
    if (more > 0) this.#log.warn({ more }, 'the cluster has more that cannot be used; see bramblectl status')
    this.#viewProblems = problems
  }

  /** @param remedies for all that the kernel cannot make */
  missing(remedies: readonly string[]): void {
    for (const remedy of remedies)
      if (!this.#said.has(remedy)) this.#log.warn({ remedy }, 'the kernel cannot make a kind of tunnel')
    this.#said = new Set(remedies)
  }

  /** What failed before is over only when everything has been looked at. */
  passed({ put, removed, failures }: Outcome, isLook: boolean): void {
    const now = failures.map(({ object, error }) => `${object} cannot be set: ${error.message}`)
    this.#failures = isLook ? now : [...new Set([...this.#failures, ...now])]
    const shown = (objects: readonly string[]) => ({ count: objects.length, first: objects.slice(0, 5) })
    if (put.length + removed.length > 0)
      this.#log.info({ put: shown(put), removed: shown(removed) }, 'network between nodes set')
    for (const { object, error } of failures.slice(0, 5))
      this.#log.error({ object, err: error }, 'cannot set an object')
  }

  failed(error: unknown, retryMs: number): void {
    this.#failures = [...this.#failures.filter((one) => one !== CANNOT), CANNOT]
    this.#log.error({ err: error, retryMs }, 'the network between nodes is not as it should be; trying again')
  }
}

function textOf({ object, reason }: ViewProblem): string {
  return `${object}: ${reason}`
}
