import type { Comparison } from './diff.ts'

/** One kind of kernel object: how it is known, listed, made and removed. */
export interface Subsystem<T> extends Comparison<T> {
  /** In the kernel's words: `route`, `neighbour`, `fdb entry`. */
  readonly name: string
  /** For people: `route 10.42.1.0/24`. */
  describe(object: T): string
  /** Ours only. @throws KernelError */
  list(): Promise<T[]>
  /** Adds or replaces; repeatable. @returns what went wrong, per object */
  put(objects: readonly T[]): Promise<(Error | undefined)[]>
  /** Absent is success. @returns what went wrong, per object */
  remove(objects: readonly T[]): Promise<(Error | undefined)[]>
}
