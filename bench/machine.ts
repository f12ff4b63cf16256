import { availableParallelism, loadavg, release } from 'node:os'

/** What a reader needs to compare figures, and nothing that tells whose machine it was. */
export function describeMachine() {
  return {
    architecture: process.arch,
    cores: availableParallelism(),
    kernel: `Linux ${release().split('.').slice(0, 2).join('.')}`,
    node: process.version,
    /** Processes that wanted to run in the minute before: with more than a few tenths, the ratios are only rough. */
    loadBefore: loadavg()[0] ?? 0,
  }
}
