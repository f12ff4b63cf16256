import type { Lease } from '../../ipam/leases.ts'
import { RTM_NEWNETCONF, settingLinkOf } from '../kernel/link-settings.ts'
import { generatesAddresses, isBridgePortMessage, linkIndexOf, parseLink, RTM_NEWLINK } from '../kernel/links.ts'
import type { NetlinkMessage } from '../kernel/message.ts'
import { neighbourLinkOf, parseNeighbour, RTM_DELNEIGH, RTM_NEWNEIGH } from '../kernel/neighbours.ts'
import { RTM_DELROUTE, RTM_NEWROUTE, routedHostOf, routeLinkOf } from '../kernel/routes.ts'
import { podMacOf, ROUTE_PROTOCOL } from '../ownership.ts'
import type { PodNetwork } from './network.ts'
import { isAsMade } from './put-back.ts'
import type { Turns } from './turns.ts'

/** How closely a pod is looked at. Settings are files, a dozen for each pod: most damage leaves them alone. */
export type Look = 'objects' | 'settings, too'

/** The pods whose side on the node may be damaged, as events tell; those that say what is wanted anyway tell nothing. */
export class Suspects {
  readonly #network: PodNetwork
  readonly #turns: Turns
  /** By the index of the host link. */
  #looks = new Map<number, Look>()
  /** Hosts whose routes somebody else has made or removed, perhaps in the place of ours. */
  #routed = new Set<string>()

  constructor(network: PodNetwork, turns: Turns) {
    this.#network = network
    this.#turns = turns
  }

  get isEmpty(): boolean {
    return this.#looks.size + this.#routed.size === 0
  }

  add(index: number, look: Look): void {
    if (this.#looks.get(index) !== 'settings, too') this.#looks.set(index, look)
  }

  addAll(): void {
    for (const index of this.#network.links.keys()) this.add(index, 'settings, too')
  }

  /** An event that was not caused by ourselves. */
  hear(message: NetlinkMessage): void {
    switch (message.type) {
      case RTM_NEWLINK:
        this.#hearOfLink(message)
        break
      case RTM_NEWROUTE:
      case RTM_DELROUTE:
        this.#hearOfRoute(message)
        break
      case RTM_NEWNEIGH:
      case RTM_DELNEIGH:
        this.#hearOfNeighbour(message)
        break
      case RTM_NEWNETCONF:
        this.#addIfPod(settingLinkOf(message), 'settings, too')
    }
  }

  /**
   * Whom to look at now. Those in the middle of an ADD or a DEL are left for later; of those that a DEL took away
   * nothing is left to do.
   */
  take(): Map<number, Look> {
    const { links } = this.#network
    if (this.#routed.size > 0)
      for (const index of links.keys())
        if (this.#leaseOn(index)?.addresses.some((address) => this.#routed.has(address))) this.add(index, 'objects')
    this.#routed = new Set()
    const all = this.#looks
    this.#looks = new Map()
    const due = new Map<number, Look>()
    for (const [index, look] of all) {
      const owner = links.get(index)
      if (owner) (this.#turns.isBusy(owner.containerId) ? this.#looks : due).set(index, look)
    }
    return due
  }

  #hearOfLink(message: NetlinkMessage): void {
    const index = linkIndexOf(message)
    const lease = this.#leaseOn(index)
    if (!lease || isBridgePortMessage(message)) return
    const link = parseLink(message)
    const isHalfMade = link.alias === '' && this.#turns.isBusy(lease.containerId)
    if (!isHalfMade && (!isAsMade(link, lease) || generatesAddresses(message))) this.add(index, 'settings, too')
  }

  #hearOfRoute(message: NetlinkMessage): void {
    // The kernel's own routes go with an address; that may have gone with IPv6 as a whole.
    if (message.type === RTM_DELROUTE)
      this.#addIfPod(routeLinkOf(message), message.body[5] === ROUTE_PROTOCOL ? 'objects' : 'settings, too')
    const host = routedHostOf(message)
    if (host) this.#routed.add(host)
  }

  #hearOfNeighbour(message: NetlinkMessage): void {
    const index = neighbourLinkOf(message)
    const lease = this.#leaseOn(index)
    const neighbour = lease && parseNeighbour(message)
    if (!neighbour || !lease.addresses.includes(neighbour.address)) return
    const isAsMade = message.type === RTM_NEWNEIGH && neighbour.mac === podMacOf(lease.containerId, lease.ifname)
    if (!isAsMade) this.add(index, 'objects')
  }

  #addIfPod(index: number | undefined, look: Look): void {
    if (index !== undefined && this.#network.links.has(index)) this.add(index, look)
  }

  #leaseOn(index: number): Lease | undefined {
    const owner = this.#network.links.get(index)
    return owner && this.#network.leases.get(owner.containerId, owner.ifname)
  }
}
