import koffi from './koffi.ts'

/**
 * The C library calls that Node does not offer. Everything here is synchronous and runs on the main thread, which
 * is what makes `setns` safe: no other code of ours runs between the way in and the way back.
 */
const libc = koffi.load('libc.so.6')

/** A call of the C library failed; `errno` is the kernel's, positive. */
export class SystemError extends Error {
  override readonly name = 'SystemError'
  readonly code = 'SYSTEM' as const
  readonly call: string
  readonly errno: number

  constructor(call: string, errno: number) {
    super(`${call}: ${errnoName(errno)}`)
    this.call = call
    this.errno = errno
  }
}

const errnoNames = new Map(
  Object.entries(koffi.os.errno as Record<string, number>).map(([name, number]) => [number, name]),
)

/** `17` -> `EEXIST` (asm-generic/errno.h) */
export function errnoName(errno: number): string {
  return errnoNames.get(errno) ?? `errno ${errno}`
}

const strerror = libc.func('const char *strerror(int errno)')
const errnoWords = new Map(Array.from(errnoNames, ([errno, name]) => [strerror(errno) as string, name]))

/** `File exists` -> `EEXIST`, for libraries that give only the words. @returns undefined for other words */
export function errnoOf(words: string): string | undefined {
  return errnoWords.get(words)
}

/** Binds a function that returns -1 and sets errno when it fails: so often that nobody wants an exception. Returns -errno then. */
export function bindQuietly<Args extends unknown[]>(prototype: string): (...args: Args) => number {
  const call = libc.func(prototype)
  return (...args) => {
    const result = call(...args) as number
    return result === -1 ? -koffi.errno() : result
  }
}

/** Binds a function that returns -1 and sets errno when it fails. */
export function bind<Args extends unknown[]>(prototype: string): (...args: Args) => number {
  const call = libc.func(prototype)
  const name = call.info.name
  return (...args) => {
    const result = call(...args) as number
    if (result === -1) throw new SystemError(name, koffi.errno())
    return result
  }
}
