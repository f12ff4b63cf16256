import { once } from 'node:events'
import { createWriteStream, openSync, rmSync } from 'node:fs'
import { finished } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { ustarEnd, ustarEntry } from '../ustar.ts'

/** The archive cannot be written; the message names it and says why. */
export class ArchiveError extends Error {
  override readonly name = 'ArchiveError'
  readonly code = 'ARCHIVE' as const
}

/** A tar.gz that is written as its files come; it is nobody's but its owner's, and takes no other file's place. */
export class Archive {
  readonly #path: string
  readonly #gzip = createGzip()
  readonly #nowSeconds: number
  readonly #written: Promise<void>
  /** As soon as it is known, though the writer may be busy elsewhere. */
  #failure: NodeJS.ErrnoException | undefined

  private constructor(path: string, nowSeconds: number) {
    this.#path = path
    this.#nowSeconds = nowSeconds
    const out = path === '-' ? process.stdout : createWriteStream('', { fd: openSync(path, 'wx', 0o600) })
    this.#written = new Promise((resolve, reject) => {
      const fail = (error: NodeJS.ErrnoException) => {
        this.#failure ??= error
        this.#gzip.destroy()
        reject(error)
      }
      out.on('error', fail)
      if (path === '-') this.#gzip.on('end', resolve)
      else finished(out).then(resolve, fail)
    })
    this.#written.catch(() => {}) // told by add() or end()
    this.#gzip.on('error', () => {})
    this.#gzip.pipe(out, { end: path !== '-' })
  }

  /** @param path `-`: to stdout. @throws ArchiveError where there is a file, or no folder */
  static create(path: string, nowSeconds: number): Archive {
    try {
      return new Archive(path, nowSeconds)
    } catch (error) {
      throw refusal(path, error as NodeJS.ErrnoException)
    }
  }

  /** @throws ArchiveError; then there is no file any more; RangeError where the path is too long for an archive */
  async add(path: string, text: string): Promise<number> {
    const content = Buffer.from(text)
    if (this.#failure) throw this.#given(this.#failure)
    const entry = { path, type: 'file', mode: 0o600, changedAtSeconds: this.#nowSeconds, content } as const
    const isRoomy = this.#gzip.write(Buffer.concat(ustarEntry(entry)))
    if (!isRoomy && !this.#failure) await Promise.race([once(this.#gzip, 'drain'), this.#written]).catch(() => {})
    if (this.#failure) throw this.#given(this.#failure)
    return content.length
  }

  /** @throws ArchiveError; then there is no file any more */
  async end(): Promise<void> {
    try {
      this.#gzip.end(ustarEnd())
      await this.#written
    } catch (error) {
      throw this.#given(error as NodeJS.ErrnoException)
    }
  }

  /** Takes back what was written so far. */
  abandon(): void {
    this.#gzip.destroy()
    if (this.#path !== '-') rmSync(this.#path, { force: true })
  }

  #given(error: NodeJS.ErrnoException): ArchiveError {
    this.abandon()
    return refusal(this.#path, error)
  }
}

function refusal(path: string, error: NodeJS.ErrnoException): ArchiveError {
  const reasons: Readonly<Record<string, string>> = {
    EEXIST: 'is there already; move it away, or name another file: --file FILE',
    ENOENT: 'lies in a folder that is not there; name another file: --file FILE',
    EACCES: 'must not be written by this user; name another file: --file FILE',
    EROFS: 'lies on a file system that cannot be written; name another file: --file FILE',
    ENOSPC: 'needs more room than its file system has; name a file elsewhere: --file FILE',
    EPIPE: 'was not read to its end by the program behind the pipe',
  }
  const name = path === '-' ? 'the archive' : path
  return new ArchiveError(`${name} ${reasons[error.code ?? ''] ?? `cannot be written: ${error.message}`}`, {
    cause: error,
  })
}
