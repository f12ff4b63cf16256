import type { Occurrence, Reason } from './node-events.ts'

/** The same is not said again before this time is over, but counted. */
export const TELL_AGAIN_MS = 600_000
/** After a failure; then twice as long each time. */
const TRY_AGAIN_MS = 15_000
/** What is over before it has been seen twice is nobody's business: a node that starts has a moment of everything. */
const SEEN_LEAST = 2

interface Entry {
  /** In looks, one after the other, up to this one. */
  seen: number
  /** Not told yet. */
  untold: number
  notBeforeMs: number
  /** One after the other. */
  failures: number
  message: string
}

export interface Telling extends Occurrence {
  /** Add these to what has been told. */
  readonly times: number
}

/** What is told of what is seen: of each reason not more than once in ten minutes, and then how often it was. No I/O. */
export class EventLedger {
  readonly #entries = new Map<Reason, Entry>()
  readonly #tryAgainMs: number

  constructor(tryAgainMs = TRY_AGAIN_MS) {
    this.#tryAgainMs = tryAgainMs
  }

  /** @param events all that there is at this look @returns what is to be told now */
  look(events: readonly Occurrence[], nowMs: number): Telling[] {
    for (const [reason, entry] of this.#entries) if (!events.some((event) => event.reason === reason)) entry.seen = 0
    for (const event of events) this.#see(event)
    return [...this.#entries].flatMap(([reason, entry]) => tellingOf(reason, entry, nowMs))
  }

  told({ reason }: Telling): void {
    const entry = this.#entries.get(reason)
    if (entry) entry.failures = 0
  }

  /** It could not be told: so it is still to be, less and less often. */
  failed({ reason, times }: Telling, nowMs: number): void {
    const entry = this.#entries.get(reason)
    if (!entry) return
    entry.untold += times
    entry.notBeforeMs = nowMs + Math.min(this.#tryAgainMs * 2 ** entry.failures, TELL_AGAIN_MS)
    entry.failures++
  }

  #see({ reason, message }: Occurrence): void {
    const entry = this.#entries.get(reason) ?? { seen: 0, untold: 0, notBeforeMs: 0, failures: 0, message }
    this.#entries.set(reason, entry)
    entry.message = message
    entry.seen++
    if (isMomentary(reason) || entry.seen === SEEN_LEAST) entry.untold++
  }
}

/** What lasts is told as long as it does, and what is over in the moment in which it is seen whenever its time comes. */
function tellingOf(reason: Reason, entry: Entry, nowMs: number): Telling[] {
  const { seen, untold, notBeforeMs, message } = entry
  const isThere = isMomentary(reason) ? untold > 0 : seen >= SEEN_LEAST
  if (!isThere || nowMs < notBeforeMs) return []
  entry.untold = 0
  entry.notBeforeMs = nowMs + TELL_AGAIN_MS
  return [{ reason, message, times: Math.max(1, untold) }]
}

const isMomentary = (reason: Reason) => reason === 'DriftRepaired'
