import type { Cidr } from '../../ipam/address.ts'
import type { KeptView } from './kept-view.ts'
import { KeptWorkloadSource } from './kept-workload-source.ts'
import type { KeptWorkloads } from './kept-workloads.ts'
import type { ViewProblem } from './problem.ts'
import type { Announcement, ClusterSource, ClusterView, ViewChange } from './view.ts'
import type { WorkloadSource } from './workloads.ts'

/** A source that is there answers well within it. */
const PATIENCE_MS = 2_000
/** After the first one: changes come in bursts, and a lost second of them does no harm, for the source says it all again. */
const WRITE_AFTER_MS = 1_000

/**
 * A source whose last word is kept on tmpfs. An agent that starts while the source is away goes on from there: pods
 * start and stop, and the ways to other nodes are kept up.
 */
export class KeptSource implements ClusterSource {
  readonly workloads: WorkloadSource | undefined
  readonly #source: ClusterSource
  readonly #kept: KeptView
  readonly #nodeName: string
  #joined: Promise<unknown> = Promise.resolve()
  #problems: readonly ViewProblem[] = []
  #onProblems: () => void = () => {}
  #isClosed = false
  #timer: NodeJS.Timeout | undefined
  #last: ClusterView | undefined
  #unwritten: ClusterView | undefined
  #hasWritten = false
  #writing: Promise<void> = Promise.resolve()

  /** @param keptWorkloads absent: those of the source, if it has any, are not kept */
  constructor(source: ClusterSource, kept: KeptView, nodeName: string, keptWorkloads?: KeptWorkloads) {
    const { workloads } = source
    this.workloads = workloads && keptWorkloads ? new KeptWorkloadSource(workloads, keptWorkloads) : workloads
    this.#source = source
    this.#kept = kept
    this.#nodeName = nodeName
  }

  get registry() {
    return this.#source.registry
  }

  get server() {
    return this.#source.server
  }

  get clockMs() {
    return this.#source.clockMs
  }

  /** Of a source that has not said any, those of its last word. */
  get serviceCidrs(): readonly Cidr[] | undefined {
    const said = this.#source.serviceCidrs
    return said && said.length === 0 ? this.#kept.read()?.serviceCidrs : said
  }

  get board() {
    return this.#source.board
  }

  /** What the source says or, where it says nothing in time, what it said last. */
  async join(onProblems: (problems: readonly ViewProblem[]) => void): Promise<readonly Cidr[]> {
    const joined = this.#source.join((problems) => {
      this.#problems = problems
      onProblems(problems)
      this.#onProblems()
    })
    this.#joined = joined
    const kept = this.#kept.read()?.nodes.get(this.#nodeName)?.podCidrs ?? []
    if (kept.length === 0) return joined
    joined.catch(() => {}) // when the race is over, start hears of it
    const patience = new Promise<readonly Cidr[]>((resolve) => setTimeout(resolve, PATIENCE_MS, kept))
    return Promise.race([joined, patience])
  }

  announce(announcement: Announcement, addresses: readonly string[]): void {
    this.#source.announce(announcement, addresses)
  }

  tellNetworkIsUp(): void {
    this.#source.tellNetworkIsUp?.()
  }

  start(onChange: (change: ViewChange) => void): void {
    const kept = this.#kept.read()
    let isHeard = false
    const tellKept = () => {
      if (!isHeard && !this.#isClosed) onChange({ view: kept, problems: this.#problems })
    }
    this.#onProblems = tellKept
    tellKept()
    this.#joined.then(
      () => {
        if (this.#isClosed) return
        this.#source.start((change) => {
          isHeard ||= change.view !== undefined
          this.#keep(change.view)
          onChange({ ...change, view: change.view ?? kept })
        })
      },
      (error: Error) => {
        this.#problems = [{ object: `Node ${this.#nodeName}`, reason: error.message }]
        tellKept()
      },
    )
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    await this.#writing
    this.#write()
    await this.workloads?.close()
    await this.#source.close()
  }

  #keep(view: ClusterView | undefined): void {
    if (!view || view === this.#last) return
    this.#last = view
    this.#unwritten = view
    if (this.#hasWritten) this.#schedule()
    else this.#write()
  }

  /** At once: the agent may end in the next moment. */
  #write(): void {
    const view = this.#take()
    if (!view) return
    this.#kept.write(view)
    this.#hasWritten = true
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => {
      this.#writing = this.#writeInTurns()
    }, WRITE_AFTER_MS).unref()
  }

  async #writeInTurns(): Promise<void> {
    const view = this.#take()
    if (view) await this.#kept.writeInTurns(view)
    this.#timer = undefined
    if (this.#unwritten && !this.#isClosed) this.#schedule()
  }

  #take(): ClusterView | undefined {
    const view = this.#unwritten
    this.#unwritten = undefined
    return view
  }
}
