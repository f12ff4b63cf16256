import type { NetlinkMessage } from '../kernel/message.ts'
import type { Comparison } from './diff.ts'

/** An object that should be there, and what is in its place. */
export interface Wanted<T> {
  readonly desired: T
  /** Ours, and different; absent: nothing of ours. */
  readonly actual?: T
}

/** One kind of kernel object: how it is known, listed, made and removed. */
export interface Subsystem<T> extends Comparison<T> {
  /** In the kernel's words: `route`, `neighbour`, `fdb entry`. */
  readonly name: string
  /** For people: `route 10.42.1.0/24`. */
  describe(object: T): string
  /** Ours only. @throws KernelError */
  list(): Promise<T[]>
  /** Adds or replaces; repeatable. @returns what went wrong, per object */
  put(objects: readonly Wanted<T>[]): Promise<(Error | undefined)[]>
  /** Absent is success. @returns what went wrong, per object */
  remove(objects: readonly T[]): Promise<(Error | undefined)[]>
  /** What an event is about, and whether that is gone; undefined: nothing of ours. Absent: there are no events of this kind. */
  read?(message: NetlinkMessage): { readonly object: T; readonly isGone: boolean } | undefined
}
