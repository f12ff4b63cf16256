import { writeSync } from 'node:fs'
import { isWritable } from './kernel/poll.ts'

/** Long enough that the lines of a burst of calls go out together, and nobody who looks on waits. */
const FLUSH_AFTER_MS = 20
/** PIPE_BUF of include/uapi/linux/limits.h: so much a pipe that is writable takes without a wait. */
const PIECE_BYTES = 4096
/** What is kept for a reader who is slow. */
const WAITING_BYTES_MAX = 256 * 1024
const NEWLINE = 0x0a

/**
 * Lines on their way out, together with those of the next moment: a write for each is a tenth of what a DEL costs.
 * Nobody waits for them: what a full disk does not take, what nobody reads any more, and what is too much for somebody
 * who reads slowly, is lost and counted.
 */
export class LogLines {
  readonly #fd: number
  readonly #tellLost: (lines: number) => void
  #text = ''
  /** Could not go out yet. */
  #waiting = Buffer.alloc(0)
  #lost = 0
  #isInLine = false
  #isDue = false

  /** @param tellLost called when lines go out again after some were lost */
  constructor(fd: number, tellLost: (lines: number) => void) {
    this.#fd = fd
    this.#tellLost = tellLost
  }

  write(line: string): void {
    const bytes = this.#waiting.length + this.#text.length + line.length
    // Of a gap there is one, and where lines go out again it is told.
    if (this.#waiting.length > 0 && (this.#lost > 0 || bytes > WAITING_BYTES_MAX)) this.#lost++
    else this.#text += line
    if (this.#text.length >= PIECE_BYTES && this.#waiting.length === 0) this.flush()
    else this.#flushSoon()
  }

  /** @param patienceMs how long to wait for a reader who is slow, before each piece */
  flush(patienceMs = 0): void {
    this.#waiting = Buffer.concat([this.#waiting, Buffer.from(this.#text)])
    this.#text = ''
    try {
      while (this.#waiting.length > 0 && isWritable(this.#fd, patienceMs)) this.#writePiece()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') {
        this.#lose()
        return
      }
    }
    if (this.#waiting.length > 0) this.#flushSoon()
    else this.#tellGap()
  }

  #flushSoon(): void {
    if (this.#isDue) return
    this.#isDue = true
    setTimeout(() => {
      this.#isDue = false
      this.flush()
    }, FLUSH_AFTER_MS).unref()
  }

  #writePiece(): void {
    const written = writeSync(this.#fd, this.#waiting, 0, Math.min(PIECE_BYTES, this.#waiting.length))
    this.#isInLine = this.#waiting[written - 1] !== NEWLINE
    this.#waiting = this.#waiting.subarray(written)
  }

  #tellGap(): void {
    const lost = this.#lost
    this.#lost = 0
    if (lost > 0) this.#tellLost(lost)
  }

  #lose(): void {
    this.#lost += this.#waiting.toString().split('\n').filter(Boolean).length
    this.#waiting = Buffer.alloc(0)
    if (this.#isInLine) this.#text = '\n' // the next line begins as one
  }
}
