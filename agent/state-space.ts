import { statfsSync } from 'node:fs'

/** What the agent writes at once is less: when which address was freed, and the view of a small cluster. */
const ENOUGH_BYTES = 64 * 1024

/** What is wrong with the file system that the agent keeps its state in, for people. @returns undefined where it has room */
export function spaceProblem(dir: string): string | undefined {
  try {
    const { bavail, bsize, files, ffree } = statfsSync(dir)
    const isFull = bavail * bsize < ENOUGH_BYTES || (files > 0 && ffree === 0) // some have no inodes to count
    if (!isFull) return undefined
  } catch (error) {
    return `${dir} cannot be looked at: ${(error as NodeJS.ErrnoException).code}`
  }
  return `the file system of ${dir} is full: what was freed, and the last view of the cluster, are not kept over a restart; see what fills it (du -x -d1 /run) and remove that`
}
