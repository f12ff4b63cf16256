import type { Logger } from 'pino'
import { linkIndexOf, listLinks, RTM_DELLINK, RTM_NEWLINK } from '../kernel/links.ts'
import type { NetlinkMessage } from '../kernel/message.ts'
import type { EventListener, Netlink } from '../kernel/netlink.ts'
import { defaultRouteLinks, listDefaultRouteLinks, RTM_DELROUTE, RTM_NEWROUTE } from '../kernel/routes.ts'

const LINKS_OR_ROUTES: ReadonlySet<number> = new Set([RTM_NEWLINK, RTM_DELLINK, RTM_NEWROUTE, RTM_DELROUTE])

export interface Uplinks {
  readonly names: readonly string[]
  /** The smallest MTU of them. */
  readonly bytes: number
}

/** Ethernet's; taken while the node has no default route. */
const FALLBACK_BYTES = 1500

/**
 * The MTU of the node's uplinks: the smallest of the links that lead to other nodes or, while there are none, of those
 * with a default route. Read when it is first asked for and again when the kernel reports a change of theirs, so that
 * a Wi-Fi that comes up after the agent counts.
 */
export class UplinkMtu implements EventListener {
  readonly #netlink: Netlink
  readonly #log: Logger
  /** The names of the links that lead to other nodes. */
  #carriers: readonly string[] = []
  #known: Promise<Uplinks> | undefined
  #uplinkIndexes: ReadonlySet<number> = new Set()
  #lastBytes = 0
  #isListing = false

  constructor(netlink: Netlink, log: Logger) {
    this.#netlink = netlink
    this.#log = log
  }

  setCarriers(names: readonly string[]): void {
    if (names.join() === this.#carriers.join()) return
    this.#carriers = names
    this.#known = undefined
  }

  onMessage(message: NetlinkMessage): void {
    // While they are listed, nobody knows yet which links they are.
    if (this.#isListing ? LINKS_OR_ROUTES.has(message.type) : this.#concernsUplinks(message)) this.#known = undefined
  }

  onGap(): void {
    this.#known = undefined
  }

  /** @throws KernelError */
  async bytes(): Promise<number> {
    return (await this.uplinks()).bytes
  }

  /** @throws KernelError */
  uplinks(): Promise<Uplinks> {
    this.#known ??= this.#detect().catch((error) => {
      this.#known = undefined
      throw error
    })
    return this.#known
  }

  async #detect(): Promise<Uplinks> {
    this.#isListing = true
    const [links, uplinks4, uplinks6] = await Promise.all([
      listLinks(this.#netlink),
      listDefaultRouteLinks(this.#netlink, 4),
      listDefaultRouteLinks(this.#netlink, 6),
    ]).finally(() => {
      this.#isListing = false
    })
    const carriers = links.filter(({ name }) => this.#carriers.includes(name)).map(({ index }) => index)
    this.#uplinkIndexes = new Set(carriers.length > 0 ? carriers : [...uplinks4, ...uplinks6])
    const uplinks = links.filter(({ index }) => this.#uplinkIndexes.has(index))
    const bytes = Math.min(
      ...uplinks.map(({ mtuBytes }) => mtuBytes),
      ...(uplinks.length === 0 ? [FALLBACK_BYTES] : []),
    )
    const names = uplinks.map(({ name }) => name)
    if (bytes !== this.#lastBytes) this.#log.info({ mtuBytes: bytes, uplinks: names }, 'MTU of the uplinks')
    this.#lastBytes = bytes
    return { names, bytes }
  }

  #concernsUplinks(message: NetlinkMessage): boolean {
    switch (message.type) {
      case RTM_NEWLINK:
      case RTM_DELLINK:
        return this.#uplinkIndexes.has(linkIndexOf(message))
      case RTM_NEWROUTE:
      case RTM_DELROUTE:
        return defaultRouteLinks(message).length > 0
      default:
        return false
    }
  }
}
