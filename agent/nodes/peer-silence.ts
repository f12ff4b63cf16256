import type { ListedWireguardPeer } from '../kernel/wireguard.ts'

/** Without a handshake that was answered, a session is at its end after so long: REJECT_AFTER_TIME, drivers/net/wireguard/messages.h. */
const SILENT_AFTER_MS = 180_000

interface Counted {
  readonly rxBytes: bigint
  readonly txBytes: bigint
  /** Since when we speak and nothing comes back. */
  readonly unansweredSinceMs?: number
}

/**
 * Which peers of WireGuard's do not answer, told by the counters of one look and the next. Such a one is not where its
 * last packet came from: it has moved, or somebody has set its endpoint, and where it says that it is, it may be.
 */
export class PeerSilence {
  readonly #counted = new Map<string, Counted>()

  /** To be asked at every look. @param nowMs of a clock that nobody sets */
  isSilent({ publicKey, rxBytes, txBytes }: ListedWireguardPeer, nowMs: number): boolean {
    const before = this.#counted.get(publicKey)
    const hasAnswered = before?.rxBytes !== rxBytes
    const isSpokenTo = before !== undefined && before.txBytes !== txBytes
    const unansweredSinceMs = hasAnswered ? undefined : (before?.unansweredSinceMs ?? (isSpokenTo ? nowMs : undefined))
    this.#counted.set(publicKey, { rxBytes, txBytes, ...(unansweredSinceMs !== undefined && { unansweredSinceMs }) })
    return unansweredSinceMs !== undefined && nowMs - unansweredSinceMs >= SILENT_AFTER_MS
  }

  /** @param peers that there are */
  forgetOthers(peers: readonly ListedWireguardPeer[]): void {
    const keys = new Set(peers.map(({ publicKey }) => publicKey))
    for (const key of this.#counted.keys()) if (!keys.has(key)) this.#counted.delete(key)
  }
}
