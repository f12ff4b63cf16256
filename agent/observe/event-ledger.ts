import type { Occurrence, Reason } from './node-events.ts'

/** The same is not said again before this time is over, but counted. */
export const TELL_AGAIN_MS = 600_000
/** What is over before it has been seen twice is nobody's business: a node that starts has a moment of everything. */
const SEEN_LEAST = 2

interface Entry {
  /** In looks, one after the other, up to this one. */
  seen: number
  /** Not told yet. */
  untold: number
  toldAtMs: number | undefined
  message: string
}

export interface Telling extends Occurrence {
  /** Add these to what has been told. */
  readonly times: number
}

/** What is told of what is seen: of each reason not more than once in ten minutes, and then how often it was. No I/O. */
export class EventLedger {
  readonly #entries = new Map<Reason, Entry>()

  /** @param events all that there is at this look @returns what is to be told now */
  look(events: readonly Occurrence[], nowMs: number): Telling[] {
    for (const [reason, entry] of this.#entries) if (!events.some((event) => event.reason === reason)) entry.seen = 0
    for (const event of events) this.#see(event)
    return [...this.#entries].flatMap(([reason, entry]) => tellingOf(reason, entry, nowMs))
  }

  /** It could not be told: so it is still to be. */
  failed({ reason, times }: Telling): void {
    const entry = this.#entries.get(reason)
    if (!entry) return
    entry.untold += times
    entry.toldAtMs = undefined
  }

  #see({ reason, message }: Occurrence): void {
    const entry = this.#entries.get(reason) ?? { seen: 0, untold: 0, toldAtMs: undefined, message }
    this.#entries.set(reason, entry)
    entry.message = message
    entry.seen++
    if (isMomentary(reason) || entry.seen === SEEN_LEAST) entry.untold++
  }
}

/** What lasts is told as long as it does, and what is over in the moment in which it is seen whenever its time comes. */
function tellingOf(reason: Reason, entry: Entry, nowMs: number): Telling[] {
  const { seen, untold, toldAtMs, message } = entry
  const isThere = isMomentary(reason) ? untold > 0 : seen >= SEEN_LEAST
  if (!isThere || (toldAtMs !== undefined && nowMs - toldAtMs < TELL_AGAIN_MS)) return []
  entry.untold = 0
  entry.toldAtMs = nowMs
  return [{ reason, message, times: Math.max(1, untold) }]
}

const isMomentary = (reason: Reason) => reason === 'DriftRepaired'
