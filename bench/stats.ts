/** What is told of many measurements of one thing. */
export interface Summary {
  readonly p50: number
  readonly p95: number
  readonly count: number
}

/** @throws Error when there is nothing to summarise */
export function summarise(samples: readonly number[]): Summary {
  return { p50: percentile(samples, 0.5), p95: percentile(samples, 0.95), count: samples.length }
}

/** The nearest rank: always a value that was measured. @throws Error when nothing was */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  const value = sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)]
  if (value === undefined) throw new Error('Cannot summarise: nothing was measured')
  return value
}

/** a0, b0, a1, b1 …: so that whatever else the machine does hits both sides alike. */
export function interleave<T>(a: readonly T[], b: readonly T[]): T[] {
  return Array.from({ length: Math.max(a.length, b.length) }, (_, i) => [
    ...a.slice(i, i + 1),
    ...b.slice(i, i + 1),
  ]).flat()
}
