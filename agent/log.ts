import { type Logger, pino } from 'pino'
import { LogLines } from './log-lines.ts'

/** The last words matter most; but an end that somebody waits for comes soon. */
const LAST_WORDS_MS = 200

/** JSON lines on stdout. Only a process that is killed loses those of its last moment. */
export function openLog(level: string): Logger {
  const lines = new LogLines(1, (lost) => log.warn({ lines: lost }, 'lines of this log are lost: nobody took them'))
  process.on('exit', () => lines.flush(LAST_WORDS_MS))
  const log = pino({ level, base: null }, lines)
  return log
}
