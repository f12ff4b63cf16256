import { setTimeout as sleep } from 'node:timers/promises'
import type { Outcome, Probe } from './probe.ts'
import type { Reach } from './reach.ts'

/** A few at a time: a Pi has to send and to answer, and packets of many must not be lost to each other. */
const AT_ONCE = 4
const AGAIN_AFTER_MS = 300
/**
 * Patience is for ways that are being made while the test begins, and so counts from there: what comes later is tried
 * for no longer than this, which is for single packets that are lost.
 */
const LATER_PATIENCE_MS = 3_000
/** The longest single try: a connection, and then a payload of which nothing comes (reach.ts). */
const TRY_MS = 12_500

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
  const startMs = performance.now()
  const work = async () => {
    for (let probe = waiting.shift(); probe; probe = waiting.shift()) onOutcome(await outcomeOf(probe, startMs, reach))
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
}

/** How long all of them take where none comes out as expected. Pure. */
export function longestMs(probes: readonly Probe[]): number {
  const patienceMs = Math.max(0, ...probes.map((probe) => probe.patienceMs))
  return patienceMs + Math.ceil(probes.length / AT_ONCE) * (LATER_PATIENCE_MS + AGAIN_AFTER_MS + TRY_MS)
}

async function outcomeOf(probe: Probe, startMs: number, reach: (probe: Probe) => Promise<Reach>): Promise<Outcome> {
  const { id, expects, patienceMs } = probe
  const endMs = Math.max(startMs + patienceMs, performance.now() + Math.min(patienceMs, LATER_PATIENCE_MS))
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
