import { type Logger, pino } from 'pino'

/** A log, and what was written there as parsed lines. */
export function openTestLog(): { readonly log: Logger; readonly lines: () => Record<string, unknown>[] } {
  const written: string[] = []
  const log = pino({ base: null }, { write: (line: string) => void written.push(line) })
  return { log, lines: () => written.map((line) => JSON.parse(line)) }
}
