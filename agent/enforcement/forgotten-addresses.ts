import type { Logger } from 'pino'
import { type ConntrackEntry, deleteConntrack } from '../kernel/conntrack.ts'
import { streamConntrack } from '../kernel/conntrack-stream.ts'
import { isNotFound, KernelError } from '../kernel/errors.ts'
import type { NetlinkRequest } from '../kernel/message.ts'
import type { Netlink } from '../kernel/netlink.ts'

/** All that is freed within this time is looked for in one walk: an empty table costs 10 ms already, for its 262,144 buckets. */
const WAIT_MS = 100
const RETRY_MS = 1_000
/** By then nothing leads any more to pods that went while no agent was there. */
const AFTER_START_MS = 1_000
/** As many entries are deleted after one walk at most: what is to be sent is held meanwhile. */
const DELETIONS_AT_ONCE = 5_000
/** Enough for every table; more would mean that they come as fast as they go. */
const WALKS_MAX = 1_000

/**
 * Connections of addresses that a pod has given back: nothing of them may reach the next owner, neither as part of an allowed
 * connection nor by a translation to its address (UDP to a hostPort or a Service lives as long as its packets come).
 */
export class ForgottenAddresses {
  readonly #netlink: Netlink
  readonly #log: Logger
  #waiting = new Set<string>()
  /** Of pods that went while no agent was there, or whose agent ended before their connections did; undefined: looked for. */
  #isOwnerless: IsGone | undefined
  #isWalking: IsGone = () => false
  #timer: NodeJS.Timeout | undefined
  #walk: Promise<void> = Promise.resolve()
  #isFailing = false

  /** @param netlink of the protocol `netfilter` */
  constructor(netlink: Netlink, log: Logger) {
    this.#netlink = netlink
    this.#log = log
  }

  /** Before the first address is given out. @param isOwnerless as it was when the agent started */
  begin(isOwnerless: IsGone): void {
    this.#isOwnerless = isOwnerless
    this.#flushIn(AFTER_START_MS)
  }

  /** To be called when nothing leads to the addresses any more. Returns at once; their connections are gone soon after. */
  freed(addresses: readonly string[]): void {
    for (const address of addresses) this.#waiting.add(address)
    if (this.#waiting.size > 0) this.#flushIn(WAIT_MS)
  }

  /**
   * Before addresses are given out: at once, unless their connections still wait to be deleted.
   * @throws KernelError; they stay in wait
   */
  async settled(addresses: readonly string[]): Promise<void> {
    if (addresses.some((address) => this.#waiting.has(address) || this.#isOwnerless?.(address))) await this.flush()
    else if (addresses.some(this.#isWalking)) await this.#walk
  }

  /** Ends when what runs has ended; what still waits is for the next agent. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#walk.catch(() => {})
  }

  /** Deletes them now. @throws KernelError; they stay in wait, and are tried again */
  flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#walk = this.#walk.catch(() => {}).then(() => this.#forget())
    return this.#walk
  }

  /** Keeps no agent alive that was told to stop. */
  #flushIn(waitMs: number): void {
    this.#timer ??= setTimeout(() => this.flush().catch(() => {}), waitMs).unref()
  }

  async #forget(): Promise<void> {
    const [addresses, isOwnerless] = [this.#waiting, this.#isOwnerless]
    if (addresses.size === 0 && !isOwnerless) return
    this.#waiting = new Set()
    this.#isOwnerless = undefined
    this.#isWalking = (address) => addresses.has(address) || isOwnerless?.(address) === true
    try {
      await forgetAddresses(this.#netlink, this.#isWalking)
      this.#isFailing = false
    } catch (error) {
      for (const address of addresses) this.#waiting.add(address)
      this.#isOwnerless = isOwnerless
      this.#flushIn(RETRY_MS)
      if (!this.#isFailing)
        this.#log.error(
          { err: error, addresses: addresses.size },
          'cannot delete connections of freed addresses; trying again',
        )
      this.#isFailing = true
      throw error
    } finally {
      this.#isWalking = () => false
    }
  }
}

type IsGone = (address: string) => boolean

/** Deletes all connections with such an address at either end, before or after translation. @throws KernelError */
export async function forgetAddresses(netlink: Netlink, isGone: IsGone): Promise<void> {
  for (let walk = 0; walk < WALKS_MAX; walk++) {
    const deletions: NetlinkRequest[] = []
    await streamConntrack(netlink, (entry) => {
      if (deletions.length < DELETIONS_AT_ONCE && isOf(entry, isGone)) deletions.push(deleteConntrack(entry))
    })
    const outcomes = await netlink.trySend(deletions)
    const refusal = outcomes.find((outcome) => outcome instanceof KernelError && !isNotFound(outcome))
    if (refusal) throw refusal
    if (deletions.length < DELETIONS_AT_ONCE) return
  }
}

function isOf({ original, reply }: ConntrackEntry, isGone: IsGone): boolean {
  return [original, reply].some(({ source, destination }) => isGone(source) || isGone(destination))
}
