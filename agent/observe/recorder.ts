import { type Activity, LOOPS, type Loop } from '../activity.ts'
import type { Family } from './family.ts'
import { Histogram } from './histogram.ts'
import { REMEMBER_MS } from './history.ts'
import { Tally } from './tally.ts'

const COMMANDS = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION']
const OUTCOMES = ['success', 'error'] as const

/** The last call of a container runtime that came to nothing. */
export interface FailedCall {
  readonly command: string
  readonly reason: string
  readonly atMs: number
}

/** The last thing that a loop put back. */
export interface Repair {
  readonly loop: Loop
  readonly what: string
  readonly atMs: number
}

/** Counts what the agent does, for those who ask how it has been. What is at this moment is not here: it is looked up. */
export class Recorder implements Activity {
  readonly #calls = new Histogram(
    'bramble_cni_call_duration_seconds',
    ['ADD', 'DEL'].flatMap((command) => OUTCOMES.map((outcome) => ({ command, outcome }))),
  )
  readonly #errors = new Tally('bramble_cni_errors_total')
  readonly #passes = new Histogram(
    'bramble_reconcile_duration_seconds',
    LOOPS.map((loop) => ({ loop })),
  )
  readonly #failures = new Tally(
    'bramble_reconcile_errors_total',
    LOOPS.map((loop) => ({ loop })),
  )
  readonly #repairs = new Tally(
    'bramble_drift_repairs_total',
    LOOPS.map((loop) => ({ loop })),
  )
  readonly #lastPassMs = new Map<Loop, number>()
  readonly #lastRepairs = new Map<Loop, Repair>()
  readonly #onRepair: ((repair: Repair) => void)[] = []
  #failedCall: FailedCall | undefined

  /** @param answer exit code 0, or an error as CNI has it in JSON */
  called(
    command: string | undefined,
    durationMs: number,
    answer: { readonly exitCode: number; readonly body: Buffer },
  ): void {
    const known = command !== undefined && COMMANDS.includes(command) ? command : 'other'
    const outcome = answer.exitCode === 0 ? 'success' : 'error'
    this.#calls.observe({ command: known, outcome }, durationMs / 1000)
    if (outcome === 'success') return
    const { code, msg, details } = JSON.parse(answer.body.toString('utf8'))
    this.#errors.add({ command: known, code: String(code) })
    const reason = details ? `${msg} (${details})` : String(msg)
    // That no address is free is what STATUS is asked for, again and again.
    if (known !== 'STATUS') this.#failedCall = { command: known, reason, atMs: performance.now() }
  }

  passed(loop: Loop, durationMs: number, isFailed: boolean): void {
    this.#passes.observe({ loop }, durationMs / 1000)
    if (isFailed) this.#failures.add({ loop })
    else this.#lastPassMs.set(loop, performance.now())
  }

  repaired(loop: Loop, what: string): void {
    this.#repairs.add({ loop })
    const repair = { loop, what, atMs: performance.now() }
    this.#lastRepairs.set(loop, repair)
    for (const tell of this.#onRepair) tell(repair)
  }

  onRepair(tell: (repair: Repair) => void): void {
    this.#onRepair.push(tell)
  }

  /** The last one of each loop, for an hour; the newest first. */
  lastRepairs(nowMs = performance.now()): Repair[] {
    const repairs = [...this.#lastRepairs.values()].filter(({ atMs }) => nowMs - atMs < REMEMBER_MS)
    return repairs.sort((a, b) => b.atMs - a.atMs)
  }

  get failedCall(): FailedCall | undefined {
    return this.#failedCall
  }

  /** When a loop last brought about all that it should; absent: not yet. */
  lastPassMs(loop: Loop): number | undefined {
    return this.#lastPassMs.get(loop)
  }

  families(): Family[] {
    return [this.#calls, this.#errors, this.#passes, this.#failures, this.#repairs].map((one) => one.family())
  }
}
