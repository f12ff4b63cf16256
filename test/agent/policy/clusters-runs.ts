import fc from 'fast-check'

/** The same random numbers wherever it runs; others with BRMTEST_SEED, more runs with BRMTEST_RUNS times as many. */
export const SEED = Number(process.env.BRMTEST_SEED ?? 20_261_121)
export const TIMES = Number(process.env.BRMTEST_RUNS ?? 1)

/**
 * Holds the property against so many random values.
 * @returns what was run, for the test's output
 * @throws Error with what is wrong with the smallest value that breaks it, how to run that again, and the value
 */
export function hold<T>(arbitrary: fc.Arbitrary<T>, runs: number, property: (value: T) => void): string {
  const numRuns = runs * TIMES
  const { failed, counterexample, errorInstance, numShrinks } = fc.check(
    fc.property(arbitrary, (value) => property(value)),
    { numRuns, seed: SEED },
  )
  if (!failed) return `${numRuns} runs, BRMTEST_SEED=${SEED}`
  const what = errorInstance instanceof Error ? errorInstance.message : String(errorInstance)
  throw new Error(
    `${what}\nBRMTEST_SEED=${SEED}, smaller by ${numShrinks} steps: ${JSON.stringify(counterexample?.[0])}`,
    {
      cause: errorInstance,
    },
  )
}
