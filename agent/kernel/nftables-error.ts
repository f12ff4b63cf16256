import { errnoOf } from './libc.ts'

/** How much of a line is told before and behind what is wrong in it: a line may have thousands of elements. */
const LINE_CHARACTERS = { before: 60, behind: 100 } as const

/** nftables refused, or is not there. Of a transaction that is refused, nothing is carried out. */
export class NftablesError extends Error {
  override readonly name = 'NftablesError'
  readonly code = 'NFTABLES' as const
  /** The command that was refused, or as much of it as tells which. */
  readonly line: string | undefined
  /** By name, e.g. `EEXIST`, where it was the kernel that refused. */
  readonly errno: string | undefined

  constructor(message: string, { line, errno, cause }: { line?: string; errno?: string; cause?: unknown } = {}) {
    super(message, { cause })
    this.line = line
    this.errno = errno
  }

  /**
   * @param output what `nft` prints: for each error its words, all that was asked for, and carets below what is wrong in
   *   it; the first one says what the others follow from
   */
  static from(output: string, commands: string): NftablesError {
    const [first = '', , carets = ''] = output.split('\n')
    const words = first.replace(/^.*?Error: /, '') || 'no reason given'
    const errno = errnoOf(
      words
        .replace(/^.*: /, '')
        .replace(/[;(].*$/, '')
        .trim(),
    )
    const at = carets.indexOf('^')
    if (at < 0) return new NftablesError(`nft: ${words}`, { ...(errno && { errno }) })
    const line = lineAt(commands, at)
    return new NftablesError(`nft: ${words}, in: ${line}`, { line, ...(errno && { errno }) })
  }
}

/** What was to be listed or removed is not there, or what something was to be added to. */
export function isNoSuchObject(error: unknown): boolean {
  return error instanceof NftablesError && error.errno === 'ENOENT'
}

function lineAt(commands: string, at: number): string {
  const start = commands.lastIndexOf('\n', at - 1) + 1
  const end = commands.indexOf('\n', at)
  const line = commands.slice(start, end < 0 ? undefined : end)
  return line.slice(Math.max(0, at - start - LINE_CHARACTERS.before), at - start + LINE_CHARACTERS.behind).trim()
}
