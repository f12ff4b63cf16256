import type { Change } from '../desired/network.ts'
import { KINDS, type NodeObjects } from '../desired/objects.ts'
import { parseAddress, RTM_DELADDR, RTM_NEWADDR } from '../kernel/addresses.ts'
import { isBridgePortMessage, type Link, parseLink, RTM_DELLINK, RTM_NEWLINK } from '../kernel/links.ts'
import type { NetlinkMessage } from '../kernel/message.ts'
import { concernsRouting, parseRoute, RTM_DELROUTE, RTM_NEWROUTE } from '../kernel/routes.ts'
import { RTM_DELRULE, RTM_NEWRULE } from '../kernel/rules.ts'
import { isPodLink, isTunnelLink, ROUTE_PROTOCOL } from '../ownership.ts'
import { diff } from '../reconcile/diff.ts'
import type { Subsystem } from '../reconcile/subsystem.ts'
import type { KernelListing } from './facts.ts'
import type { NodeSubsystems } from './subsystems.ts'

/**
 * What the kernel holds as far as it was listed or wanted: by it an event that tells something new is told from the
 * many that do not (lifetimes of addresses renewed, a Wi-Fi that scans, pods that come and go, our own doing).
 */
export class Known {
  /** Of the node's own links, addresses and routes, each as one text. */
  readonly #foreign = new Set<string>()
  /** Of ours, by kind and key. */
  readonly #ours = new Map<keyof NodeObjects, Map<string, unknown>>(KINDS.map((kind) => [kind, new Map()]))

  /** What we want is told by `change`, anew. */
  replaceAll({ links, addresses, routes }: KernelListing): void {
    this.#foreign.clear()
    for (const link of links) this.#foreign.add(linkText(link))
    for (const address of addresses) this.#foreign.add(addressText(address))
    for (const route of routes) this.#foreign.add(routeText(route))
    for (const objects of this.#ours.values()) objects.clear()
  }

  change({ before, after }: Change, subsystems: NodeSubsystems): void {
    for (const kind of KINDS) {
      const subsystem = subsystems[kind] as Subsystem<unknown>
      const objects = this.#ours.get(kind)
      for (const object of before[kind]) objects?.delete(subsystem.key(object))
      for (const object of after[kind]) objects?.set(subsystem.key(object), object)
    }
  }

  wanted<Kind extends keyof NodeObjects>(kind: Kind): NodeObjects[Kind][number][] {
    return [...(this.#ours.get(kind)?.values() ?? [])] as NodeObjects[Kind][number][]
  }

  /** Is all of a kind as it is wanted? @param listed as it is in the kernel */
  isAsWanted<Kind extends keyof NodeObjects>(
    kind: Kind,
    listed: readonly NodeObjects[Kind][number][],
    subsystems: NodeSubsystems,
  ): boolean {
    const { missing, changed, extra } = diff<unknown>(this.wanted(kind), listed, subsystems[kind] as Subsystem<unknown>)
    return missing.length + changed.length + extra.length === 0
  }

  /** Does the event say anything that is not so, or not wanted, already? */
  isNews(message: NetlinkMessage, subsystems: NodeSubsystems): boolean {
    for (const kind of KINDS) {
      const subsystem = subsystems[kind] as Subsystem<unknown>
      const read = subsystem.read?.(message)
      if (!read) continue
      const wanted = this.#ours.get(kind)?.get(subsystem.key(read.object))
      if (read.isGone) return wanted !== undefined
      return wanted === undefined || !subsystem.equal(wanted, read.object)
    }
    return this.#isForeignNews(message)
  }

  #isForeignNews(message: NetlinkMessage): boolean {
    switch (message.type) {
      case RTM_NEWLINK:
      case RTM_DELLINK: {
        if (isBridgePortMessage(message)) return false
        const link = parseLink(message)
        return !isPodLink(link) && !isTunnelLink(link) && this.#isNew(linkText(link), message.type === RTM_DELLINK)
      }
      case RTM_NEWADDR:
      case RTM_DELADDR: {
        const address = parseAddress(message)
        if (!address || address.address.startsWith('fe80:')) return false // as every link has
        return this.#isNew(addressText(address), message.type === RTM_DELADDR)
      }
      case RTM_NEWROUTE:
      case RTM_DELROUTE: {
        if (!concernsRouting(message, ROUTE_PROTOCOL)) return false
        const route = parseRoute(message)
        if (route && /^(fe80|ff00):/.test(route.destination)) return false // as every link has
        // Of several ways at once we know too little to say that it is known.
        return !route || this.#isNew(routeText(route), message.type === RTM_DELROUTE)
      }
      case RTM_NEWRULE:
      case RTM_DELRULE:
        return true // rare, and all ways may be others
      default:
        return false
    }
  }

  #isNew(text: string, isGone: boolean): boolean {
    return this.#foreign.has(text) === isGone
  }
}

function linkText({ index, name, kind, mtuBytes, isUp }: Link): string {
  return `link ${index} ${name} ${kind} ${mtuBytes} ${isUp}`
}

function addressText({ linkIndex, address }: { linkIndex: number; address: string }): string {
  return `address ${linkIndex} ${address}`
}

function routeText(route: KernelListing['routes'][number]): string {
  const { destination, gateway, table, metric, linkIndex } = route
  return `route ${destination} ${gateway} ${table} ${metric} ${linkIndex}`
}
