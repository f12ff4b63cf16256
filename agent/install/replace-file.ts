import {
  closeSync,
  fchmodSync,
  fsyncSync,
  futimesSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** Ends the name of what is not whole yet: who watches the folder need not look. */
export const UNFINISHED = '.new'

/**
 * Puts a file in place as a whole: written beside it, on the disk, then renamed. A program that runs is not "text file
 * busy", nobody reads half of a configuration, and after a power cut there is the old one or the new one. What is there
 * already is not written again: it may be on an SD card.
 * @param mtimeSeconds by which the file is known, from its first moment
 * @returns whether anything was written
 */
export function replaceFile(path: string, content: Buffer, mode: number, mtimeSeconds?: number): boolean {
  if (isThere(path, content, mode)) return false
  // No program that reads the folder takes it for one of its files: it has no ending that they look for.
  const beside = join(dirname(path), `.${basename(path)}${UNFINISHED}`)
  const fd = openSync(beside, 'w', mode)
  try {
    try {
      for (let at = 0; at < content.length; ) at += writeSync(fd, content, at)
      fchmodSync(fd, mode) // whatever the umask is, and whatever was left there by a crash
      if (mtimeSeconds !== undefined) futimesSync(fd, mtimeSeconds, mtimeSeconds)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(beside, path)
  } catch (error) {
    unlinkSync(beside) // a full disk is not filled by half a file
    throw error
  }
  return true
}

function isThere(path: string, content: Buffer, mode: number): boolean {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (!stats?.isFile() || stats.size !== content.length || (stats.mode & 0o777) !== mode) return false
  return readFileSync(path).equals(content)
}
