import { contains } from '../../ipam/address.ts'
import type { Lease } from '../../ipam/leases.ts'
import { listAddresses, parseAddress, RTM_DELADDR } from '../kernel/addresses.ts'
import { KernelError } from '../kernel/errors.ts'
import {
  type Link,
  linkIndexOf,
  listLinks,
  parseLink,
  RTM_DELLINK,
  RTM_NEWLINK,
  setLinkGroup,
  setLinkMtu,
} from '../kernel/links.ts'
import type { NetlinkMessage } from '../kernel/message.ts'
import { listNeighbours, neighbourLinkOf, parseNeighbour, RTM_DELNEIGH, RTM_NEWNEIGH } from '../kernel/neighbours.ts'
import type { EventListener, Netlink } from '../kernel/netlink.ts'
import { hostOf, type ListedRoute, listRoutes, parseRoute, RTM_DELROUTE, RTM_NEWROUTE } from '../kernel/routes.ts'
import { getSysctl, putSysctl } from '../kernel/sysctl.ts'
import { LINK_GROUP, podMacOf, ROUTE_PROTOCOL } from '../ownership.ts'
import { desiredAttachment, HOST_MAC, type LinkSide } from './attachment.ts'
import { compareSides, type ObservedSide } from './compare.ts'
import type { PodNetwork } from './network.ts'
import type { Turns } from './turns.ts'
import { sideRequests } from './wire.ts'

/** Events come in bursts, and our own DELs are among them. */
const SETTLE_MS = 50
/** Somebody may undo again and again what we do: repairing takes a fifth of the time at most. */
const REST_PER_PASS = 4
/** What was in the way may go without a word that we understand. */
const AGAIN_AFTER_MS = 30_000

/**
 * Puts back what somebody takes away from a pod's side on the node: routes, neighbours, addresses, a link set down, a
 * MAC rewritten. What is inside the pod is the pod's. Events only say whom to look at.
 */
export class PodRepair implements EventListener {
  readonly #network: PodNetwork
  readonly #turns: Turns
  /** By the index of the host link. */
  readonly #suspects = new Set<number>()
  readonly #problems = new Map<number, string[]>()
  #timer: NodeJS.Timeout | undefined
  #restUntilMs = 0

  constructor(network: PodNetwork, turns: Turns) {
    this.#network = network
    this.#turns = turns
  }

  /** What could not be put back, in words; empty is good. */
  get problems(): string[] {
    return [...this.#problems].flatMap(([index, problems]) => (this.#network.links.has(index) ? problems : []))
  }

  onMessage(message: NetlinkMessage): void {
    for (const index of this.#suspectsIn(message)) this.#suspect(index)
  }

  onGap(): void {
    for (const index of this.#network.links.keys()) this.#suspect(index)
  }

  close(): void {
    clearTimeout(this.#timer)
  }

  #suspectsIn(message: NetlinkMessage): Iterable<number> {
    const { links } = this.#network
    switch (message.type) {
      case RTM_NEWLINK: {
        const index = linkIndexOf(message)
        return links.has(index) && isTampered(parseLink(message)) ? [index] : []
      }
      case RTM_DELLINK:
        return this.#problems.keys() // with it may go what was in the way
      case RTM_DELROUTE: {
        if (message.body[5] !== ROUTE_PROTOCOL) return this.#problems.keys()
        const index = parseRoute(message)?.linkIndex
        return index !== undefined && links.has(index) ? [index] : []
      }
      case RTM_NEWROUTE:
        return message.body[5] === ROUTE_PROTOCOL ? [] : this.#displacedBy(parseRoute(message))
      case RTM_NEWNEIGH:
      case RTM_DELNEIGH: {
        const index = neighbourLinkOf(message)
        const owner = links.get(index)
        const neighbour = owner && parseNeighbour(message)
        if (!neighbour) return []
        const isAsMade = message.type === RTM_NEWNEIGH && neighbour.mac === podMacOf(owner.containerId, owner.ifname)
        return isAsMade ? [] : [index]
      }
      case RTM_DELADDR: {
        const index = parseAddress(message)?.linkIndex
        return index !== undefined && links.has(index) ? [index] : []
      }
      default:
        return []
    }
  }

  /** `ip route replace` says nothing of what was there before. */
  #displacedBy(route: ListedRoute | undefined): Iterable<number> {
    const address = route && hostOf(route)
    const { leases, links } = this.#network
    return address && leases.pools.some(({ cidr }) => contains(cidr, address)) ? [...links.keys()] : []
  }

  #suspect(index: number): void {
    this.#suspects.add(index)
    if (this.#timer) return
    const waitMs = Math.max(SETTLE_MS, this.#restUntilMs - performance.now())
    this.#timer = setTimeout(() => this.#repair(), waitMs).unref()
  }

  async #repair(): Promise<void> {
    const { log } = this.#network
    const startedAtMs = performance.now()
    const suspects = [...this.#suspects]
    this.#suspects.clear()
    try {
      const listing = await list(this.#network.netlink)
      await Promise.all(suspects.map((index) => this.#repairInTurn(index, listing)))
    } catch (error) {
      log.error({ err: error }, 'cannot look after the pods; trying again')
      for (const index of suspects) this.#suspects.add(index)
    }
    const endedAtMs = performance.now()
    this.#restUntilMs = endedAtMs + (endedAtMs - startedAtMs) * REST_PER_PASS
    this.#timer = undefined
    const unsolved = [...this.#problems.keys()]
    if (this.#suspects.size > 0) for (const index of [...this.#suspects]) this.#suspect(index)
    else if (unsolved.length > 0)
      this.#timer = setTimeout(() => {
        for (const index of unsolved) this.#suspects.add(index)
        this.#repair()
      }, AGAIN_AFTER_MS).unref()
  }

  /** Not in the middle of its ADD or DEL: after a DEL it is nobody's any more. */
  async #repairInTurn(index: number, listing: Listing): Promise<void> {
    const owner = this.#network.links.get(index)
    if (!owner) return
    await this.#turns.take(owner.containerId, async () => {
      const { leases, links, hasIpv6 } = this.#network
      const lease = leases.get(owner.containerId, owner.ifname)
      const link = listing.links.get(index)
      this.#problems.delete(index)
      // A link without its record is half made: whoever makes it finishes it, or takes it back.
      if (!lease || !link || links.get(index) !== owner || link.alias === '' || link.group === LINK_GROUP.condemned)
        return
      const mtuBytes = link.mtuBytes
      const { host, hasIpv6: usesIpv6 } = desiredAttachment({ ...lease, mtuBytes, hasIpv6 })
      const isOnLink = ({ linkIndex }: { linkIndex: number }) => linkIndex === index
      const observed: ObservedSide = {
        link,
        sysctls: host.sysctls.map(({ key, value }) => ({ key, value: getSysctl(key) ?? value })),
        addresses: listing.addresses.filter(isOnLink),
        routes: listing.routes.filter(isOnLink),
        rules: [],
        neighbours: listing.neighbours.filter(isOnLink),
      }
      const differences = compareSides('on the node', host, observed)
      if (differences.length === 0 && link.group === LINK_GROUP.pods) return
      await this.#putBack(lease, link, host, observed, usesIpv6)
      this.#network.log.warn(
        { pod: lease.pod, link: link.name, differences },
        "somebody changed what is a pod's; put back",
      )
    })
  }

  async #putBack(lease: Lease, link: Link, host: LinkSide, observed: ObservedSide, usesIpv6: boolean): Promise<void> {
    const { netlink } = this.#network
    for (const sysctl of host.sysctls) putSysctl(sysctl)
    const missing = { ...host, routes: host.routes.filter((route) => !isThere(route.destination, observed.routes)) }
    const requests = [
      ...(link.mac === HOST_MAC ? [] : [setLinkMtu(link.index, link.mtuBytes, HOST_MAC)]),
      ...(link.group === LINK_GROUP.pods ? [] : [setLinkGroup(link.index, LINK_GROUP.pods)]),
      ...sideRequests(link.index, missing, usesIpv6),
    ]
    const outcomes = await netlink.trySend(requests)
    const refusals = outcomes.flatMap((outcome) => (outcome instanceof KernelError ? [outcome] : []))
    if (refusals.length > 0)
      this.#problems.set(
        link.index,
        refusals.map(({ message }) => `${lease.pod || lease.containerId}: ${message}; is it another program's?`),
      )
  }
}

type Listing = Awaited<ReturnType<typeof list>>

/** All that pods have on the node. @throws KernelError */
async function list(netlink: Netlink) {
  const [links, addresses, routes4, routes6, neighbours] = await Promise.all([
    listLinks(netlink),
    listAddresses(netlink),
    listRoutes(netlink, 4),
    listRoutes(netlink, 6),
    listNeighbours(netlink),
  ])
  const byIndex = new Map(links.map((link) => [link.index, link]))
  return { links: byIndex, addresses, routes: [...routes4, ...routes6], neighbours }
}

function isThere(destination: string, routes: readonly { readonly destination: string }[]): boolean {
  return routes.some((route) => route.destination === destination)
}

/** Of a whole attachment: its record is written last, and condemned links are down as they like. */
function isTampered({ alias, group, isUp, mac }: Link): boolean {
  return alias !== '' && group !== LINK_GROUP.condemned && (!isUp || mac !== HOST_MAC || group !== LINK_GROUP.pods)
}
