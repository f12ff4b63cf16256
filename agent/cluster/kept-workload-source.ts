import type { KeptWorkloads } from './kept-workloads.ts'
import type { ClusterPod, WorkloadChange, WorkloadSource, Workloads } from './workloads.ts'

/** In milliseconds. */
export interface KeepingTimes {
  /**
   * So long a source that says nothing may take to list everything. Until it has, the rules that the last agent left are
   * in the kernel, and they are newer than what was kept.
   */
  readonly patienceMs: number
  /** Between two writings at least. */
  readonly writeEveryMs: number
}

const TIMES: KeepingTimes = { patienceMs: 5_000, writeEveryMs: 1_000 }
/**
 * In a cluster where pods come and go all the time, each writing is all of the file anew: that takes a hundredth of the
 * time at most. An agent that is killed leaves what is older by so much, and the next one, if the source is away, goes
 * back to it; one that ends leaves the newest.
 */
const REST_PER_WRITE = 99

/**
 * A source whose last word is kept on tmpfs. An agent that starts while the source is away goes on from there: policies
 * are known, and the pods of this node.
 */
export class KeptWorkloadSource implements WorkloadSource {
  readonly #source: WorkloadSource
  readonly #kept: KeptWorkloads
  readonly #times: KeepingTimes
  #patience: NodeJS.Timeout | undefined
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()
  #unwritten: Workloads | undefined
  #last: Workloads | undefined
  #restUntilMs = 0
  #isClosed = false

  /** @param times only tests have less patience */
  constructor(source: WorkloadSource, kept: KeptWorkloads, times: KeepingTimes = TIMES) {
    this.#source = source
    this.#kept = kept
    this.#times = times
  }

  get isComplete(): boolean {
    return this.#source.isComplete
  }

  start(onChange: (change: WorkloadChange) => void): void {
    let isHeard = false
    let problems: WorkloadChange['problems'] = []
    let kept: Workloads | undefined
    const giveUp = () => {
      clearTimeout(this.#patience)
      this.#patience = undefined
      kept = this.#kept.read()
    }
    this.#patience = setTimeout(() => {
      giveUp()
      onChange({ workloads: kept, problems })
    }, this.#times.patienceMs).unref()
    this.#source.start((change) => {
      problems = change.problems
      if (isHeard) onChange(change)
      else if (change.workloads) {
        isHeard = true
        clearTimeout(this.#patience)
        onChange({ workloads: change.workloads, problems }) // all may differ from what was kept
      } else {
        if (this.#patience && problems.length > 0) giveUp()
        onChange({ workloads: kept, problems })
      }
      this.#keep(change.workloads)
    })
  }

  ask(namespace: string, name: string, signal: AbortSignal): Promise<ClusterPod | undefined> {
    return this.#source.ask(namespace, name, signal)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#patience)
    clearTimeout(this.#timer)
    await this.#writing
    const workloads = this.#take()
    if (workloads) this.#kept.write(workloads)
    await this.#source.close()
  }

  #keep(workloads: Workloads | undefined): void {
    if (!workloads || workloads === this.#last) return
    this.#last = workloads
    this.#unwritten = workloads
    this.#schedule()
  }

  /** At once, if the last time was long enough ago. */
  #schedule(): void {
    if (this.#isClosed) return
    const waitMs = Math.max(0, this.#restUntilMs - performance.now())
    this.#timer ??= setTimeout(() => {
      this.#writing = this.#write()
    }, waitMs).unref()
  }

  async #write(): Promise<void> {
    const startedAtMs = performance.now()
    const workloads = this.#take()
    if (workloads) await this.#kept.writeInTurns(workloads)
    const endedAtMs = performance.now()
    this.#restUntilMs = endedAtMs + Math.max(this.#times.writeEveryMs, (endedAtMs - startedAtMs) * REST_PER_WRITE)
    this.#timer = undefined
    if (this.#unwritten) this.#schedule()
  }

  #take(): Workloads | undefined {
    const workloads = this.#unwritten
    this.#unwritten = undefined
    return workloads
  }
}
