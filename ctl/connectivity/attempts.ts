import { setTimeout as sleep } from 'node:timers/promises'
import type { Outcome, Probe } from './probe.ts'
import type { Reach } from './reach.ts'

/** A few at a time: a Pi has to send and to answer, and packets of many must not be lost to each other. */
const AT_ONCE = 4
const AGAIN_AFTER_MS = 300

/**
 * Tries each probe until it comes out as expected, or its patience is over.
 * @param onOutcome as they come, in no order
 */
export async function attempt(
  probes: readonly Probe[],
  reach: (probe: Probe) => Promise<Reach>,
  onOutcome: (outcome: Outcome) => void,
): Promise<void> {
  const waiting = [...probes]
  const work = async () => {
    for (let probe = waiting.shift(); probe; probe = waiting.shift()) onOutcome(await outcomeOf(probe, reach))
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
}

async function outcomeOf(probe: Probe, reach: (probe: Probe) => Promise<Reach>): Promise<Outcome> {
  const { id, expects, patienceMs } = probe
  const endMs = performance.now() + patienceMs
  for (;;) {
    const { isReached, words } = await reach(probe)
    if (expects === 'reached' && isReached) return { id, isGood: true, words }
    if (expects === 'blocked' && !isReached) return { id, isGood: true, words: 'blocked, as it should be' }
    if (performance.now() > endMs) {
      const isOpen = expects === 'blocked'
      return { id, isGood: false, words: isOpen ? `it is let through, and a policy denies it (${words})` : words }
    }
    await sleep(AGAIN_AFTER_MS)
  }
}
