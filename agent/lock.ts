import { closeSync, constants, fstatSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { bind } from './kernel/libc.ts'

// include/uapi/asm-generic/fcntl.h
const LOCK_EX = 2
const LOCK_NB = 4

const flock = bind<[number, number]>('int flock(int fd, int operation)')

/** Another agent works on the same state directory. */
export class LockedError extends Error {
  override readonly name = 'LockedError'
  readonly code = 'LOCKED' as const
}

/** There can be no records in the state directory. */
export class StateDirError extends Error {
  override readonly name = 'StateDirError'
  readonly code = 'STATE_DIR' as const
  readonly stateDir: string

  constructor(stateDir: string, why: string, options?: ErrorOptions) {
    super(`--state-dir ${stateDir} cannot be used: ${why}`, options)
    this.stateDir = stateDir
  }
}

/**
 * One agent per state directory. The kernel drops the lock when the process ends, however it ends.
 * @throws LockedError, StateDirError
 */
export function lockStateDir(stateDir: string): void {
  const fd = openLock(stateDir)
  try {
    flock(fd, LOCK_EX | LOCK_NB)
  } catch (error) {
    closeSync(fd)
    throw new LockedError(`another bramble-agent works on ${stateDir}; stop it first`, {
      cause: error,
    })
  }
}

function openLock(stateDir: string): number {
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 })
    refuseOthers(stateDir)
    return openSync(join(stateDir, 'lock'), constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)
  } catch (error) {
    if (error instanceof StateDirError) throw error
    const remedy = 'take a folder on tmpfs that can be written, like /run/bramble'
    throw new StateDirError(stateDir, `${(error as Error).message}; ${remedy}`, { cause: error })
  }
}

/** Whoever may write there can put links in the place of our files, and have root write elsewhere. @throws StateDirError */
function refuseOthers(stateDir: string): void {
  const { uid, mode } = statSync(stateDir)
  if (uid !== process.geteuid?.())
    throw new StateDirError(stateDir, `it belongs to user ${uid}; run "chown root ${stateDir}"`)
  if (mode & 0o022) throw new StateDirError(stateDir, `others may write there; run "chmod go-w ${stateDir}"`)
}

/**
 * One agent per node, whatever their state directories: two would give out the same addresses. The file is the network
 * namespace itself, so that no container and nobody's clean-up hides it.
 * @throws LockedError
 */
export function lockNode(): void {
  const fd = openSync('/proc/self/ns/net', constants.O_RDONLY)
  try {
    flock(fd, LOCK_EX | LOCK_NB)
  } catch (error) {
    // Everybody may open that file, and so lock it; only root's lock is an agent's. One whom nobody sees is in another
    // container (/proc/locks leaves out what is not in our PID namespace), or ended this moment: wait, or try again.
    const pids = holders(fstatSync(fd).ino)
    const isAgents = pids.length === 0 || pids.some(isRoots)
    closeSync(fd)
    if (!isAgents) return
    throw new LockedError('another bramble-agent works on this node, in the same network namespace; stop it first', {
      cause: error,
    })
  }
}

/** The processes that hold a lock on a file, from /proc/locks: `1: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE 0 EOF`. */
function holders(inode: number): string[] {
  return readFileSync('/proc/locks', 'utf8')
    .split('\n')
    .map((line) => line.split(/\s+/))
    .flatMap(([, kind, , , pid = '', file = '']) => (kind === 'FLOCK' && file.endsWith(`:${inode}`) ? [pid] : []))
}

function isRoots(pid: string): boolean {
  return statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid === 0
}
