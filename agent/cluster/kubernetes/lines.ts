const NEWLINE = 0x0a

/**
 * Cuts a stream of bytes into lines, and decodes whole lines only: no character is ever cut in two, since no byte of a
 * longer one is a newline (RFC 3629, section 3).
 */
export class LineSplitter {
  readonly #mostBytes: number
  #pending: Buffer[] = []
  #pendingBytes = 0

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes
  }

  /** Bytes after the last newline. */
  get pendingBytes(): number {
    return this.#pendingBytes
  }

  /** @returns the lines that ended; empty ones are left out. @throws RangeError when one is too long */
  push(chunk: Buffer): string[] {
    const lines: string[] = []
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      const line = this.#take(chunk.subarray(from, end))
      if (line.trim() !== '') lines.push(line)
      from = end + 1
    }
    if (from < chunk.length) {
      this.#add(chunk.subarray(from))
    }
    return lines
  }

  #take(last: Buffer): string {
    this.#add(last)
    const [only] = this.#pending
    const line = this.#pending.length === 1 && only ? only : Buffer.concat(this.#pending, this.#pendingBytes)
    this.#pending = []
    this.#pendingBytes = 0
    return line.toString('utf8')
  }

  #add(part: Buffer): void {
    this.#pendingBytes += part.length
    if (this.#pendingBytes > this.#mostBytes) throw new RangeError(`a line of more than ${this.#mostBytes} bytes`)
    this.#pending.push(part)
  }
}
