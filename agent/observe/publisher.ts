import { formatStatus, isSameInSubstance, type PublishedStatus } from './published-status.ts'

/** What is new waits for the end of this time, so that a node in trouble does not trouble all. */
const LEAST_MS = 30_000
/** Nothing tells a node that is well from one that is silent but that it speaks; kubelet does so twice as often. */
export const RENEW_MS = 600_000

export interface PublisherParts {
  readonly status: () => Promise<PublishedStatus>
  readonly publish: (text: string) => void
}

/** Keeps what the cluster knows of this node's agent up to date, with as few words as possible. */
export class Publisher {
  readonly #parts: PublisherParts
  readonly #renewMs: number
  readonly #timer: NodeJS.Timeout
  #told: { readonly status: PublishedStatus; readonly atMs: number } | undefined

  /** @param leastMs,renewMs only tests have less patience */
  constructor(parts: PublisherParts, leastMs = LEAST_MS, renewMs = RENEW_MS) {
    this.#parts = parts
    this.#renewMs = renewMs
    this.#timer = setInterval(() => this.#look(), leastMs).unref()
    this.#look()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  async #look(): Promise<void> {
    const status = await this.#parts.status().catch(() => undefined) // the kernel does not tell: the next look may hear more
    if (!status) return
    const nowMs = performance.now()
    const isDue = !this.#told || nowMs - this.#told.atMs >= this.#renewMs
    if (!isDue && this.#told && isSameInSubstance(this.#told.status, status)) return
    this.#told = { status, atMs: nowMs }
    this.#parts.publish(formatStatus(status, Math.round(Date.now() / 1000)))
  }
}
