import type { Known } from './known.ts'
import type { NodeSubsystems } from './subsystems.ts'

/**
 * A peer of WireGuard's that somebody removed cuts a whole node off, and no kernel has an event for it (up to 6.19,
 * Documentation/netlink/specs/wireguard.yaml). So it is asked: two milliseconds' work with a hundred peers, and it
 * takes a five-hundredth of the time at most.
 */
const LOOK_AT_WIREGUARD_MS = { least: 2_000, most: 60_000 } as const
const REST_PER_WIREGUARD_LOOK = 500

export interface WireguardLookInput {
  readonly subsystems: NodeSubsystems
  readonly known: Known
  /** Only where there is WireGuard. */
  readonly isWanted: () => boolean
  /** Everything is looked at anyway, now or soon. */
  readonly isBusy: () => boolean
  /** One thing is done at a time. */
  readonly run: (look: () => Promise<void>) => void
  /** It is not as it should be, or cannot be asked. */
  readonly onDamage: () => void
}

/** Looks at WireGuard's key, port and peers in its time, however often the rest is looked at; what is wrong others repair. */
export class WireguardLook {
  readonly #input: WireguardLookInput
  #timer: NodeJS.Timeout | undefined

  constructor(input: WireguardLookInput) {
    this.#input = input
  }

  /** From now on, unless it does already. */
  goOn(ms: number = LOOK_AT_WIREGUARD_MS.least): void {
    const { isWanted, isBusy, run } = this.#input
    if (!isWanted()) return
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      if (isBusy()) this.goOn()
      else run(() => this.#look())
    }, ms).unref()
  }

  close(): void {
    clearTimeout(this.#timer)
  }

  async #look(): Promise<void> {
    const { onDamage } = this.#input
    const startedAtMs = performance.now()
    try {
      if (!(await this.#isAsWanted())) onDamage()
    } catch {
      onDamage() // the look at everything says what is wrong
    }
    const { least, most } = LOOK_AT_WIREGUARD_MS
    const restMs = (performance.now() - startedAtMs) * REST_PER_WIREGUARD_LOOK
    this.goOn(Math.min(Math.max(restMs, least), most))
  }

  /** @throws KernelError */
  async #isAsWanted(): Promise<boolean> {
    const { subsystems, known } = this.#input
    const { publicKey, port } = await subsystems.wireguard.look()
    const isOurs = known
      .wanted('links')
      .some((link) => link.kind === 'wireguard' && link.publicKey === publicKey && link.port === port)
    const peers = await subsystems.wireguardPeers.list()
    return isOurs && known.isAsWanted('wireguardPeers', peers, subsystems)
  }
}
