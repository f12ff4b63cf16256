import type { Logger } from 'pino'
import type { Netlink } from '../kernel/netlink.ts'
import { Evaluator } from '../policy/evaluate.ts'
import type { PolicyInput } from '../policy/input.ts'
import { cutConnections } from './cut-connections.ts'
import { ForgottenAddresses } from './forgotten-addresses.ts'

/** Changes come in bursts. What begins meanwhile meets the new rules already. */
const SETTLE_MS = 50
/** Every connection of the node is looked at, however little has changed: that takes a fiftieth of the time at most. */
const REST_PER_WALK = 49
/** But what was tightened is not to go on for longer than this because a table is large. */
const REST_MAX_MS = 1_000

/** Holds connections that have begun to what pods and policies have become since. */
export class Connections {
  readonly #netlink: Netlink
  readonly #log: Logger
  readonly #forgotten: ForgottenAddresses
  #input: PolicyInput | undefined
  #links = new Set<string>()
  #timer: NodeJS.Timeout | undefined
  #walk: Promise<void> = Promise.resolve()
  #restUntilMs = 0
  #isFailing = false

  /** @param netlink of the protocol `netfilter` */
  constructor(netlink: Netlink, log: Logger) {
    this.#netlink = netlink
    this.#log = log
    this.#forgotten = new ForgottenAddresses(netlink, log)
  }

  begin(isOwnerless: (address: string) => boolean): void {
    this.#forgotten.begin(isOwnerless)
  }

  freed(addresses: readonly string[]): void {
    this.#forgotten.freed(addresses)
  }

  /** Never an obstacle to a pod: what failed is told, and tried again. */
  async settled(addresses: readonly string[]): Promise<void> {
    await this.#forgotten.settled(addresses).catch(() => {})
  }

  rulesChanged(input: PolicyInput, links: ReadonlySet<string>): void {
    this.#input = input
    for (const link of links) this.#links.add(link)
    this.#soon()
  }

  /** When what runs has ended. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#input = undefined
    await Promise.all([this.#walk, this.#forgotten.close()])
    this.#netlink.close()
  }

  #soon(): void {
    const waitMs = Math.max(SETTLE_MS, this.#restUntilMs - performance.now())
    this.#timer ??= setTimeout(() => {
      this.#walk = this.#cut().finally(() => {
        this.#timer = undefined
        if (this.#links.size > 0 && this.#input) this.#soon()
      })
    }, waitMs).unref()
  }

  async #cut(): Promise<void> {
    const input = this.#input
    if (!input) return
    const links = this.#links
    this.#links = new Set()
    const startedAtMs = performance.now()
    const addresses = new Set([...links].flatMap((link) => input.localPods.get(link)?.addresses ?? []))
    let evaluator: Evaluator | undefined // who has which address in a cluster of thousands takes 20 ms to note
    try {
      const done = await cutConnections(this.#netlink, {
        addresses,
        isAllowed: (flow) => {
          evaluator ??= new Evaluator(input)
          // Not by what another node decides: when that changes, nobody looks here.
          return evaluator.isAllowedHere(flow)
        },
      })
      this.#isFailing = false
      if (done.cut + done.joined > 0) this.#log.info(done, 'connections follow the policies')
    } catch (error) {
      if (!this.#isFailing)
        this.#log.error({ err: error }, 'connections that are no longer allowed cannot be cut; trying again')
      this.#isFailing = true
      for (const link of links) this.#links.add(link)
    }
    const endedAtMs = performance.now()
    this.#restUntilMs = endedAtMs + Math.min((endedAtMs - startedAtMs) * REST_PER_WALK, REST_MAX_MS)
  }
}
