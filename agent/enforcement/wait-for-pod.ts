import type { Lease } from '../../ipam/leases.ts'
import { AskError, type WorkloadSource } from '../cluster/workloads.ts'

/** So long at least an answer is of use, whether or not the pod's start waits for it: until it is known the pod is closed. */
const ANSWER_MS = 5_000

/** Pods that start and that the cluster has not told of: each is asked for at once, and waits for the answer. */
export class PodsWaitedFor {
  readonly #source: WorkloadSource | undefined
  readonly #isKnown: (lease: Lease) => boolean
  readonly #onRefusal: (lease: Lease, reason: string) => void
  readonly #looks = new Set<() => void>()
  readonly #ending = new AbortController()

  /**
   * @param isKnown by what the source has told so far
   * @param onRefusal it cannot be asked
   */
  constructor(
    source: WorkloadSource | undefined,
    isKnown: (lease: Lease) => boolean,
    onRefusal: (lease: Lease, reason: string) => void,
  ) {
    this.#source = source
    this.#isKnown = isKnown
    this.#onRefusal = onRefusal
  }

  /** The source has told something. */
  look(): void {
    for (const look of this.#looks) look()
  }

  /** Nobody waits any more, neither those that do nor those that come. */
  end(reason: Error): void {
    this.#ending.abort(reason)
  }

  /** @returns whether it became known in time @throws the signal's reason, or that of the end */
  async untilKnown(lease: Lease, waitMs: number, signal: AbortSignal): Promise<boolean> {
    if (!this.#source || this.#isKnown(lease)) return true
    const told = AbortSignal.any([signal, this.#ending.signal])
    told.throwIfAborted() // of what was before, it tells nobody
    const ends = AbortSignal.any([told, AbortSignal.timeout(waitMs)])
    const [namespace = '', name = ''] = lease.pod.split('/')
    const answer = this.#source.ask(namespace, name, AbortSignal.timeout(Math.max(waitMs, ANSWER_MS)))
    // What it finds is told to all who listen.
    answer.catch((error: unknown) => error instanceof AskError && this.#onRefusal(lease, error.message))
    await new Promise<void>((resolve) => {
      const look = () => {
        if (!this.#isKnown(lease) && !ends.aborted) return
        this.#looks.delete(look)
        resolve()
      }
      this.#looks.add(look)
      ends.addEventListener('abort', look, { once: true })
    })
    told.throwIfAborted()
    return this.#isKnown(lease)
  }
}
