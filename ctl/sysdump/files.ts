import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
} from 'node:fs'
import { join } from 'node:path'

/** Files of this node as texts. All throw what the file system says. */

/** Files in /proc say that they have no bytes. */
const PIECE_BYTES = 1 << 16

/** A file; of one that is longer than that its end, which is the news of a log. */
export function tailOf(path: string, bytesMax: number): { text: string; remark?: string } {
  // A pipe that somebody has put there would keep us waiting.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const stat = fstatSync(fd)
    if (!stat.isFile()) throw new Error('no regular file')
    const isLong = stat.size > bytesMax
    const bytes = readPieces(fd, isLong ? stat.size - bytesMax : 0, bytesMax)
    return {
      text: bytes.toString('utf8'),
      ...(isLong && { remark: `its last ${bytesMax} of ${stat.size} bytes` }),
    }
  } finally {
    closeSync(fd)
  }
}

function readPieces(fd: number, from: number, bytesMax: number): Buffer {
  const pieces: Buffer[] = []
  // Where files cannot be sought in, as some of /proc, the place is the file's own.
  let [position, bytes] = [from > 0 ? from : null, 0]
  while (bytes < bytesMax) {
    const piece = Buffer.alloc(PIECE_BYTES)
    const count = readSync(fd, piece, 0, Math.min(PIECE_BYTES, bytesMax - bytes), position)
    if (count === 0) break
    pieces.push(piece.subarray(0, count))
    bytes += count
    if (position !== null) position += count
  }
  return Buffer.concat(pieces)
}

/** What a name in an archive may be made of, and how long it may be: a ustar has 100 bytes for it, a number included. */
const UNUSUAL = /[^\w.+~-]/g
const NAME_LENGTH_MAX = 96

/**
 * Regular files whose path below the folder fits, two folders deep at most.
 * @returns with a name that is safe in an archive, each another one
 */
export function folderFiles(folder: string, names: RegExp, countMax: number): { name: string; file: string }[] {
  const found = below(folder, '', 2).filter((name) => names.test(name))
  const files = found.filter((name) => lstatSync(join(folder, name)).isFile() || isLog(join(folder, name)))
  const taken = new Set<string>()
  return files.slice(0, countMax).map((name, index) => {
    const tame = name.replaceAll('/', '_').replace(UNUSUAL, '-').replace(/^[.]+/, '').slice(-NAME_LENGTH_MAX)
    const unique = tame === '' || taken.has(tame) ? `${index}-${tame}` : tame
    taken.add(unique)
    return { name: unique, file: join(folder, name) }
  })
}

/** kubelet's are links into the runtime's folder. */
function isLog(path: string): boolean {
  return path.endsWith('.log')
}

function below(folder: string, prefix: string, depth: number): string[] {
  return readdirSync(join(folder, prefix), { withFileTypes: true })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const name = join(prefix, entry.name)
      if (!entry.isDirectory()) return [name]
      return depth > 0 ? below(folder, name, depth - 1) : []
    })
}

/** As `ls -la` has it, names quoted. */
export function listing(folder: string): string {
  const lines = readdirSync(folder)
    .toSorted()
    .map((name) => {
      const path = join(folder, name)
      const stat = lstatSync(path, { throwIfNoEntry: false })
      if (!stat) return undefined
      const mode = stat.mode.toString(8).padStart(6, '0')
      const target = stat.isSymbolicLink() ? ` -> ${JSON.stringify(readlinkSync(path))}` : ''
      return [mode, stat.uid, stat.gid, stat.size, stat.mtime.toISOString(), JSON.stringify(name) + target].join(' ')
    })
  return `mode uid gid bytes changed name\n${lines.filter((line) => line !== undefined).join('\n')}\n`
}

/** `net.ipv4.ip_forward = 1`, by the paths below /proc/sys in which `*` is any one name. */
export function settings(patterns: readonly string[]): string {
  const lines = patterns.flatMap((pattern) =>
    matching(pattern.split('/'), '/proc/sys').map((path) => {
      const name = path.slice('/proc/sys/'.length).replaceAll('.', '%').replaceAll('/', '.').replaceAll('%', '/')
      return `${name} = ${readOr(path)}`
    }),
  )
  return `${lines.join('\n')}\n`
}

function matching([first, ...rest]: readonly string[], folder: string): string[] {
  if (first === undefined) return [folder]
  return namesIn(folder)
    .filter((name) => first === '*' || name === first)
    .toSorted()
    .flatMap((name) => matching(rest, join(folder, name)))
}

/**
 * Command lines of processes whose program is one of those.
 * @param nameAlone of these the program's name, since their arguments are other people's: variables, passwords
 */
export function processes(names: RegExp, nameAlone: RegExp): string {
  const lines = namesIn('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => ({ pid, words: readOr(`/proc/${pid}/cmdline`).split('\0').join(' ').trim() }))
    .filter(({ words }) => names.test(first(words, 2)))
    .map(({ pid, words }) => `${pid} ${nameAlone.test(first(words, 4)) ? `${first(words, 1)} …` : words}`)
  return `${lines.join('\n')}\n`
}

/** Behind `sudo`, an interpreter or `k3s` the program is not the first of them. */
function first(words: string, count: number): string {
  return words.split(' ').slice(0, count).join(' ')
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return [] // a process that has ended, or what this kernel has not
  }
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8').trimEnd()
  } catch (error) {
    return `(${(error as NodeJS.ErrnoException).code})`
  }
}
