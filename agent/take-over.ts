import { setTimeout as delay } from 'node:timers/promises'
import { LockedError } from './lock.ts'

/** Pods that start meanwhile wait for us: the plugin has 10 s. */
const LOOK_EVERY_MS = 25

/**
 * Waits until the agent before this one has gone. Where the next one is started before that, all of its program is loaded when its
 * turn comes, and the node is without an agent for no longer than it takes to read the kernel.
 * @param lock throws LockedError while another one has it
 * @param tell once, when there is something to wait for
 */
export async function takeOver(lock: () => void, tell: (error: LockedError) => void): Promise<void> {
  for (let isTold = false; !isFree(lock, isTold ? () => {} : tell); isTold = true) await delay(LOOK_EVERY_MS)
}

function isFree(lock: () => void, tell: (error: LockedError) => void): boolean {
  try {
    lock()
    return true
  } catch (error) {
    if (!(error instanceof LockedError)) throw error
    tell(error)
    return false
  }
}
