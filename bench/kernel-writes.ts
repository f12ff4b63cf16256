import { parseFdbEntry } from '../agent/kernel/fdb.ts'
import type { NetlinkMessage } from '../agent/kernel/message.ts'
import { RTM_NEWNEIGH } from '../agent/kernel/neighbours.ts'
import { NetlinkEvents, RTNLGRP } from '../agent/kernel/netlink.ts'
import { inNetns, openNetns } from '../agent/kernel/netns.ts'
import { watchNftables } from '../agent/kernel/nftables-events.ts'
import { parseRoute, RTM_NEWROUTE } from '../agent/kernel/routes.ts'

/** Hears what is written into the kernel of a node, whoever writes it, at the moment that the kernel tells it. */
export class KernelWrites {
  /** When the last one came, by performance.now(). */
  lastMs = 0
  readonly #events: readonly NetlinkEvents[]
  #awaited = new Set<string>()
  #onLast: () => void = () => {}

  /** @param node the path of a network namespace */
  constructor(node: string) {
    const netns = openNetns(node)
    const onMessage = (message: NetlinkMessage, causer: number) => {
      const name = nameOf(message)
      // 0: the kernel's own doing; but VXLAN says it of all its entries.
      if (causer !== 0 || name !== undefined) this.#heard(name)
    }
    this.#events = inNetns(netns, () => [
      new NetlinkEvents(Object.values(RTNLGRP), [{ onMessage, onGap: () => {} }]),
      watchNftables(
        () => false,
        () => this.#heard('ruleset'),
      ),
    ])
    netns.close()
  }

  /**
   * Waits until all of these have been written.
   * @param names `route 10.42.1.0/24`, `fdb 192.0.2.1` (the node that the entry leads to), `ruleset`
   * @throws Error with those that were not, after five seconds
   */
  async all(names: readonly string[]): Promise<void> {
    this.#awaited = new Set(names)
    await new Promise<void>((resolve, reject) => {
      const late = () => reject(new Error(`not written within 5 s: ${[...this.#awaited].join(', ')}`))
      const timer = setTimeout(late, 5_000)
      this.#onLast = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  close(): void {
    for (const events of this.#events) events.close()
  }

  #heard(name: string | undefined): void {
    this.lastMs = performance.now()
    if (name !== undefined && this.#awaited.delete(name) && this.#awaited.size === 0) this.#onLast()
  }
}

function nameOf(message: NetlinkMessage): string | undefined {
  if (message.type === RTM_NEWROUTE) {
    const route = parseRoute(message)
    return route && `route ${route.destination}`
  }
  const entry = message.type === RTM_NEWNEIGH ? parseFdbEntry(message) : undefined
  return entry && `fdb ${entry.remote}`
}
