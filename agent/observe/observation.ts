import type { Logger } from 'pino'
import type { StatusBoard } from '../cluster/view.ts'
import { IdleMemory } from '../idle-memory.ts'
import type { Options } from '../options.ts'
import { EventLoopDelay } from './event-loop.ts'
import { EventTeller } from './event-teller.ts'
import { renderExposition } from './exposition.ts'
import { familiesOf } from './families.ts'
import { family } from './family.ts'
import { ProblemHistory } from './history.ts'
import type { Trouble } from './node-events.ts'
import { now, type Observed, publishedStatus } from './now.ts'
import { processFamilies } from './process.ts'
import { Publisher } from './publisher.ts'
import { Recorder } from './recorder.ts'
import { MetricsServer } from './server.ts'

const LOOK_AT_PROBLEMS_EVERY_MS = 15_000
/** Twenty scrapes leave 4 MiB of garbage behind, which is given back in some 15 ms: not each time. */
const TIDY_EVERY_MS = 300_000

interface Answer {
  readonly exitCode: number
  readonly body: Buffer
}

/** All that tells others how the agent is: metrics from its first moment on; the rest once there is something to look at. */
export class Observation {
  readonly recorder = new Recorder()
  readonly history = new ProblemHistory()
  readonly #options: Options
  readonly #version: string
  readonly #log: Logger
  readonly #server: MetricsServer | undefined
  readonly #delay: EventLoopDelay | undefined
  readonly #idleMemory = new IdleMemory()
  #tidyAtMs = 0
  #observed: Observed | undefined
  #timer: NodeJS.Timeout | undefined
  #publisher: Publisher | undefined
  #teller: EventTeller | undefined

  constructor(options: Options, version: string, log: Logger) {
    this.#options = options
    this.#version = version
    this.#log = log
    const { metricsAddress } = options
    if (!metricsAddress) return
    const unready = () => (this.#observed ? undefined : 'the agent does not serve yet; see: bramblectl status')
    this.#server = new MetricsServer(metricsAddress, { metrics: () => this.#metrics(), unready }, log)
    this.#delay = new EventLoopDelay()
  }

  /** Why nobody can ask for metrics; empty is good. */
  get problems(): string[] {
    return this.#server?.problems ?? []
  }

  /** Counts a call of a container runtime. */
  async call(command: string | undefined, work: () => Promise<Answer>): Promise<Answer> {
    const startedAtMs = performance.now()
    const answer = await work()
    this.recorder.called(command, performance.now() - startedAtMs, answer)
    return answer
  }

  /** The agent serves from here on. @param trouble what Events are made of */
  begin(observed: Observed, board: StatusBoard | undefined, trouble: () => Omit<Trouble, 'repairs'>): void {
    this.#observed = observed
    const look = () => this.history.look(observed.problems())
    look()
    this.#timer = setInterval(look, LOOK_AT_PROBLEMS_EVERY_MS).unref()
    if (!board) return
    const publish = (text: string) => board.publish(text)
    this.#publisher = new Publisher({ status: () => publishedStatus(observed), publish })
    this.#teller = new EventTeller({ sink: board, recorder: this.recorder, trouble, log: this.#log })
  }

  /** Before the source is closed, which ends what is on its way. */
  close(): void {
    clearInterval(this.#timer)
    this.#publisher?.close()
    this.#teller?.close()
    this.#server?.close()
    this.#delay?.close()
  }

  async #metrics(): Promise<string> {
    if (performance.now() >= this.#tidyAtMs) {
      this.#tidyAtMs = performance.now() + TIDY_EVERY_MS
      this.#idleMemory.touched()
    }
    const families = [
      ...(this.#observed ? familiesOf(await now(this.#observed)) : this.#beforeFirst()),
      ...this.recorder.families(),
      ...(this.#delay ? [this.#delay.family()] : []),
      ...processFamilies(),
    ]
    return renderExposition(families)
  }

  #beforeFirst() {
    const labels = { version: this.#version, node_version: process.versions.node, datastore: this.#options.datastore }
    return [family('bramble_build_info', [[labels, 1]]), family('bramble_ready', [[{}, 0]])]
  }
}
