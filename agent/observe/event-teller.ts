import type { Logger } from 'pino'
import type { EventSink } from '../cluster/view.ts'
import { EventLedger } from './event-ledger.ts'
import { eventsOf, type Trouble } from './node-events.ts'
import type { Recorder, Repair } from './recorder.ts'

const LOOK_EVERY_MS = 15_000

export interface EventTellerParts {
  readonly sink: EventSink
  readonly recorder: Recorder
  readonly trouble: () => Omit<Trouble, 'repairs'>
  readonly log: Logger
}

/** Tells the cluster of this node's troubles. That it cannot is no trouble of the pods': it is logged once. */
export class EventTeller {
  readonly #parts: EventTellerParts
  readonly #ledger: EventLedger
  readonly #timer: NodeJS.Timeout
  #repairs: Repair[] = []
  #telling: Promise<void> = Promise.resolve()
  #said: string | undefined

  /** @param everyMs only tests have less patience */
  constructor(parts: EventTellerParts, everyMs = LOOK_EVERY_MS) {
    this.#parts = parts
    this.#ledger = new EventLedger(everyMs)
    parts.recorder.onRepair((repair) => this.#repairs.push(repair))
    this.#timer = setInterval(() => this.#look(), everyMs).unref()
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#telling
  }

  #look(): void {
    const events = eventsOf({ ...this.#parts.trouble(), repairs: this.#repairs })
    this.#repairs = []
    const tellings = this.#ledger.look(events, performance.now())
    if (tellings.length === 0) return
    this.#telling = this.#telling.then(async () => {
      for (const telling of tellings)
        try {
          await this.#parts.sink.tell(telling)
          this.#ledger.told(telling)
          this.#said = undefined
        } catch (error) {
          this.#ledger.failed(telling, performance.now())
          this.#say((error as Error).message)
        }
    })
  }

  #say(reason: string): void {
    if (reason !== this.#said) this.#parts.log.warn({ reason }, 'an Event cannot be told to the cluster')
    this.#said = reason
  }
}
