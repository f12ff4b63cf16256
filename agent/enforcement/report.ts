import type { Logger } from 'pino'
import { type Activity, UNCOUNTED } from '../activity.ts'
import type { ViewProblem } from '../cluster/problem.ts'
import type { LocalPod } from '../policy/input.ts'
import { ProblemLog } from './problem-log.ts'

/** Two more tries (passes.ts): for less, a runtime that hears of it need not take the node out of the cluster. */
const LASTING_MS = 3_000

/** What a person should know of how policies are enforced; in the log it is told once. */
export class Report {
  readonly #log: Logger
  readonly #activity: Activity
  readonly #problemLog: ProblemLog
  /** What the source tells of. */
  #problems: readonly ViewProblem[] = []
  /** What is wrong with what it told, seen from this node. */
  #contradictions: readonly ViewProblem[] = []
  #failure: string | undefined
  #failingSinceMs = 0

  constructor(log: Logger, activity: Activity = UNCOUNTED) {
    this.#log = log
    this.#activity = activity
    this.#problemLog = new ProblemLog(log)
  }

  /** @param problems all that there are with policies, and with what they are about */
  told(problems: readonly ViewProblem[]): void {
    this.#problems = problems
    this.#problemLog.tell(this.#all)
  }

  /** @param problems pods that contradict others; all that there are */
  compared(problems: readonly ViewProblem[]): void {
    if (problems === this.#contradictions) return
    this.#contradictions = problems
    this.#problemLog.tell(this.#all)
  }

  passed(durationMs: number): void {
    this.#activity.passed('policies', durationMs, false)
    this.#failure = undefined
  }

  failed(durationMs: number, error: Error): void {
    this.#activity.passed('policies', durationMs, true)
    if (!this.#failure) {
      this.#failingSinceMs = performance.now()
      this.#log.error({ err: error }, 'policies cannot be brought into the kernel; trying again')
    }
    this.#failure = `policies cannot be brought into the kernel: ${error.message}`
  }

  /** @param words for the log: what has become of it */
  repaired(damage: string, words: string): void {
    this.#log.warn({ damage }, `another program has changed the table of policies${words}`)
    this.#activity.repaired('policies', damage)
  }

  /** Why the kernel does not hold to the policies; undefined where it does. */
  get failure(): string | undefined {
    return this.#failure
  }

  /** The same, once it has been tried again in vain. */
  get lastingFailure(): string | undefined {
    return performance.now() - this.#failingSinceMs > LASTING_MS ? this.#failure : undefined
  }

  /** In words; empty is good. @param failsOpen how a pod is of which nothing is known */
  problems(pods: Iterable<LocalPod>, failsOpen: boolean): string[] {
    const word = failsOpen ? 'open' : 'closed'
    const unknown = [...pods].filter(({ isUnknown }) => isUnknown)
    return [
      ...this.#all.map(({ object, reason }) => `${object}: ${reason}`),
      ...unknown.map(({ pod, link }) =>
        pod === undefined
          ? `the pod behind ${link}: its record cannot be read; it is ${word} until it is deleted`
          : `pod ${pod}: the cluster has said nothing of it; it is ${word} until it does`,
      ),
      ...(this.#failure ? [this.#failure] : []),
    ]
  }

  get #all(): readonly ViewProblem[] {
    return [...this.#problems, ...this.#contradictions]
  }
}
