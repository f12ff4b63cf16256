/** What keeps the kernel as it should be. */
export const LOOPS = ['nodes', 'pods', 'policies'] as const
export type Loop = (typeof LOOPS)[number]

/** What the agent does without being called, told to whoever counts it. */
export interface Activity {
  /** A loop has worked out what should be there, and brought it about or not. */
  passed(loop: Loop, durationMs: number, isFailed: boolean): void
  /** Somebody has changed what is ours, and it is put back. @param what for people: the first of it, or how it was damaged */
  repaired(loop: Loop, what: string): void
}

/** Where nobody counts. */
export const UNCOUNTED: Activity = { passed: () => {}, repaired: () => {} }
