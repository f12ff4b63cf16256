import type { Logger } from 'pino'
import { faultPoint } from '../fault.ts'
import { isNotFound } from '../kernel/errors.ts'
import { deleteLinkGroup } from '../kernel/links.ts'
import type { Netlink } from '../kernel/netlink.ts'
import { LINK_GROUP } from '../ownership.ts'

/** Deletion waits for a pause in the burst, but not for ever. */
const QUIET_MS = 100
const WAIT_MAX_MS = 1_000

/**
 * Links that wait to be deleted together. One by one each costs some 20 ms under the lock that every other network
 * change waits for; fifty in one group cost 27 ms. The group is the kernel's own memory of them: what a killed agent
 * leaves in it, the next one deletes.
 */
export class CondemnedLinks {
  readonly #netlink: Netlink
  readonly #log: Logger
  #count = 0
  #deleting = 0
  #firstAtMs = 0
  #timer: NodeJS.Timeout | undefined
  #deletion: Promise<void> = Promise.resolve()

  constructor(netlink: Netlink, log: Logger) {
    this.#netlink = netlink
    this.#log = log
  }

  /** Those being deleted count until they are gone: their names are taken as long. */
  get count(): number {
    return this.#count + this.#deleting
  }

  /** Notes that one more link has been put into the group LINK_GROUP.condemned. */
  added(): void {
    const nowMs = performance.now()
    if (this.#count++ === 0) this.#firstAtMs = nowMs
    clearTimeout(this.#timer)
    const waitMs = Math.max(0, Math.min(QUIET_MS, this.#firstAtMs + WAIT_MAX_MS - nowMs))
    this.#flushIn(waitMs)
  }

  /** Deletes them now. @throws KernelError; they stay condemned and are tried again with the next ones */
  flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#deletion = this.#deletion.catch(() => {}).then(() => this.#delete())
    return this.#deletion
  }

  /** Keeps no agent alive that was told to stop: the next one deletes them. */
  #flushIn(waitMs: number): void {
    this.#timer = setTimeout(() => this.flush().catch(() => {}), waitMs).unref()
  }

  async #delete(): Promise<void> {
    const count = this.#count
    if (count === 0) return
    this.#count = 0
    this.#deleting = count
    faultPoint('del:removing')
    try {
      await this.#netlink.send([deleteLinkGroup(LINK_GROUP.condemned)])
      faultPoint('del:removed')
    } catch (error) {
      if (isNotFound(error)) return // their namespaces have taken them along
      this.#count += count
      this.#flushIn(WAIT_MAX_MS)
      this.#log.error({ err: error, links: count }, 'cannot delete links of removed pods; trying again')
      throw error
    } finally {
      this.#deleting = 0
    }
  }
}
