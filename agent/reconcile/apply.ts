import { diff } from './diff.ts'
import type { Subsystem } from './subsystem.ts'

/** A subsystem with what should be there, and what is there or was put there last. */
export interface Step<T> {
  readonly subsystem: Subsystem<T>
  readonly desired: readonly T[]
  readonly actual: readonly T[]
}

/** An object that could not be brought to where it should be. */
export interface Failure {
  readonly object: string
  readonly error: Error
}

export interface Outcome {
  readonly put: readonly string[]
  readonly removed: readonly string[]
  readonly failures: readonly Failure[]
}

/**
 * Brings the kernel from what is there to what should be: first all that is missing or different, in the order of the
 * steps (what others rest upon first), then all that is too much, in reverse. One failure does not stop the rest.
 */
// biome-ignore lint/suspicious/noExplicitAny: steps of different kinds of objects go in one list
export async function apply(steps: readonly Step<any>[]): Promise<Outcome> {
  const put: string[] = []
  const removed: string[] = []
  const failures: Failure[] = []
  const work = steps.map(({ subsystem, desired, actual }) => ({ subsystem, ...diff(desired, actual, subsystem) }))
  const note = <T>(subsystem: Subsystem<T>, objects: readonly T[], errors: (Error | undefined)[], done: string[]) => {
    for (const [index, object] of objects.entries()) {
      const error = errors[index]
      if (error) failures.push({ object: subsystem.describe(object), error })
      else done.push(subsystem.describe(object))
    }
  }
  for (const { subsystem, missing, changed } of work) {
    const wanted = [...missing.map((desired) => ({ desired })), ...changed]
    const objects = wanted.map(({ desired }) => desired)
    if (objects.length > 0) note(subsystem, objects, await subsystem.put(wanted), put)
  }
  for (const { subsystem, extra } of work.toReversed())
    if (extra.length > 0) note(subsystem, extra, await subsystem.remove(extra), removed)
  return { put, removed, failures }
}
