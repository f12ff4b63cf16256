import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs'
import { bind } from './libc.ts'

// include/uapi/linux/sched.h
const CLONE_NEWNET = 0x4000_0000
// include/uapi/linux/nsfs.h
const NS_GET_NSTYPE = 0xb703
const OWN = '/proc/self/ns/net'

const setns = bind<[number, number]>('int setns(int fd, int nstype)')
const unshare = bind<[number]>('int unshare(int flags)')
const ioctl = bind<[number, number]>('int ioctl(int fd, unsigned long request)')

/** A network namespace that is held open. */
export interface Netns {
  readonly path: string
  readonly fd: number
  close(): void
}

/** absent: nothing there (any more). forbidden: our own rights do not suffice. */
type NetnsReason = 'absent' | 'forbidden' | 'not-a-namespace'

/** The path is no network namespace that we may work in. */
export class NetnsError extends Error {
  override readonly name = 'NetnsError'
  readonly code = 'NETNS' as const
  readonly reason: NetnsReason

  constructor(reason: NetnsReason, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

/** @throws NetnsError */
export function openNetns(path: string): Netns {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'EACCES' || code === 'EPERM') throw new NetnsError('forbidden', `${path}: ${code}`, { cause: error })
    throw new NetnsError('absent', `there is no network namespace ${path} (${code})`, { cause: error })
  }
  // Namespace files of all types live on nsfs, and so share their device with our own namespace's file.
  if (fstatSync(fd).dev !== statSync(OWN).dev || ioctl(fd, NS_GET_NSTYPE) !== CLONE_NEWNET) {
    closeSync(fd)
    throw new NetnsError('not-a-namespace', `${path} is not a network namespace`)
  }
  return { path, fd, close: () => closeSync(fd) }
}

/** Tells whether the path leads to the namespace that the agent itself is in: the node's. */
export function isOwnNetns(path: string): boolean {
  try {
    const own = statSync(OWN)
    const other = statSync(path)
    return own.ino === other.ino && own.dev === other.dev
  } catch {
    return false
  }
}

/**
 * Runs `work` with the main thread inside the namespace. `work` must be synchronous; the sockets that it opens stay
 * in that namespace. If there is no way back, no line of ours may run any more: the process aborts.
 * @throws NetnsError when the namespace is not one of the network
 */
export function inNetns<T>(netns: Pick<Netns, 'fd' | 'path'>, work: () => T): T {
  return elsewhere(() => {
    try {
      setns(netns.fd, CLONE_NEWNET)
    } catch (error) {
      throw new NetnsError('not-a-namespace', `${netns.path} is not a network namespace`, { cause: error })
    }
  }, work)
}

/**
 * The same inside of a new namespace, which has no name: it goes when the last socket that `work` opened is closed.
 * @throws SystemError when none can be made: EPERM without CAP_SYS_ADMIN, ENOSPC at user.max_net_namespaces
 */
export function inNewNetns<T>(work: () => T): T {
  return elsewhere(() => unshare(CLONE_NEWNET), work)
}

function elsewhere<T>(leave: () => void, work: () => T): T {
  const own = openSync(OWN, constants.O_RDONLY)
  try {
    leave()
  } catch (error) {
    closeSync(own)
    throw error
  }
  try {
    return work()
  } finally {
    try {
      setns(own, CLONE_NEWNET)
    } catch {
      process.abort()
    }
    closeSync(own)
  }
}
