import { errnoName } from './libc.ts'

/** The kernel refused a request, or did not answer it. */
export class KernelError extends Error {
  override readonly name = 'KernelError'
  readonly code = 'KERNEL' as const
  /** What was asked for, in the words of `ip`, e.g. `link add brm0123456789ab`. */
  readonly request: string
  /** The kernel's errno by name, e.g. `EEXIST`; `ETIMEDOUT` when no answer came. */
  readonly errno: string

  /** @param words the kernel's own about it, where it has any */
  constructor(request: string, errno: number | string, words?: string) {
    const name = typeof errno === 'number' ? errnoName(errno) : errno
    super(`${request}: ${name}${words ? ` (${words})` : ''}`)
    this.request = request
    this.errno = name
  }
}

/** The object was not there: for a removal, success. */
export function isNotFound(error: unknown): boolean {
  return error instanceof KernelError && ['ENOENT', 'ENODEV', 'ESRCH', 'EADDRNOTAVAIL', 'ENXIO'].includes(error.errno)
}

export function isAlreadyExists(error: unknown): boolean {
  return error instanceof KernelError && error.errno === 'EEXIST'
}
