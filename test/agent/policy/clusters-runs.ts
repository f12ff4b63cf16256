import fc from 'fast-check'

/** The same random numbers wherever it runs; others with BRMTEST_SEED=…, which a failure prints. */
const SEED = Number(process.env.BRMTEST_SEED ?? 20_261_121)

/**
 * Holds the property against so many random values. @throws Error with the smallest one that breaks it, and the seed
 * @returns what was run, for the test's output
 */
export function hold<T>(arbitrary: fc.Arbitrary<T>, numRuns: number, property: (value: T) => void): string {
  fc.assert(
    fc.property(arbitrary, (value) => property(value)),
    { numRuns, seed: SEED },
  )
  return `${numRuns} runs, seed ${SEED}`
}
