import { ADDRESS_BITS, type Cidr, familyOf, parseCidr } from '../../ipam/address.ts'
import { type ClusterNode, type ClusterView, EMPTY_VIEW } from '../cluster/view.ts'
import type { LocalFacts } from '../desired/network.ts'
import type { Tunnel, Uplink } from '../desired/way.ts'
import { type ListedAddress, listAddresses } from '../kernel/addresses.ts'
import { type Link, listLinks } from '../kernel/links.ts'
import type { Netlink } from '../kernel/netlink.ts'
import { getRoute, type ListedRoute, listRoutes, parseWayOut, RT_TABLE_MAIN, type WayOut } from '../kernel/routes.ts'
import { hasMoreThanDefaultRules } from '../kernel/rules.ts'
import { isPodLink, isTunnelLink, NODE_ROUTE_PROTOCOL, ROUTE_PROTOCOL } from '../ownership.ts'
import type { Servers } from './servers.ts'

/** What this node was told of itself. */
export interface ThisNode {
  readonly name: string
  readonly podCidrs: readonly Cidr[]
  /** Where the others reach it; empty: what the cluster says, or else its own first ones. */
  readonly addresses: readonly string[]
  /** The cluster has them from this node itself: so what the node has now counts more than what the cluster says. */
  readonly tellsAddresses: boolean
  /** Absent: none. */
  readonly servers?: () => Servers
}

/** The kernel's word, as it was listed; without our routes to other nodes. */
export interface KernelListing {
  readonly links: readonly Link[]
  readonly addresses: readonly ListedAddress[]
  readonly routes: readonly ListedRoute[]
  /** By address: how single ones are reached, asked only where rules decide, which the routes do not tell of. */
  readonly answers?: ReadonlyMap<string, WayOut>
}

/** @param view whose nodes are asked for where the routes alone do not tell the way to them @throws KernelError */
export async function listKernel(netlink: Netlink, view = EMPTY_VIEW): Promise<KernelListing> {
  const [hasRules, links, addresses, routes4, routes6] = await Promise.all([
    hasMoreThanDefaultRules(netlink),
    listLinks(netlink),
    listAddresses(netlink),
    listRoutes(netlink, 4, NODE_ROUTE_PROTOCOL),
    listRoutes(netlink, 6, NODE_ROUTE_PROTOCOL),
  ])
  const answers = hasRules ? await ask(netlink, view) : undefined
  return { links, addresses, routes: [...routes4, ...routes6], ...(answers && { answers }) }
}

/** As for a packet of no particular source: that of pods on their way through this node is none of the node's own. */
async function ask(netlink: Netlink, { nodes }: ClusterView): Promise<ReadonlyMap<string, WayOut>> {
  const addresses = [...nodes.values()].flatMap((node) => node.addresses)
  const outcomes = await netlink.trySend(addresses.map((address) => getRoute(address)))
  const answers = new Map<string, WayOut>()
  for (const [index, outcome] of outcomes.entries()) {
    const way = Array.isArray(outcome) && outcome[0] && parseWayOut(outcome[0])
    if (way) answers.set(addresses[index] ?? '', way)
  }
  return answers
}

/** Pure. The cluster's word on this node's addresses counts, if it is not this node's; where it has none, the node's own are taken. */
export function localFacts(
  listing: KernelListing,
  view: ClusterView,
  { name, podCidrs, addresses: given, tellsAddresses, servers: serversNow }: ThisNode,
  missing: ReadonlyMap<Tunnel, string>,
): LocalFacts {
  const foreign = foreignLinks(listing.links)
  const told = view.nodes.get(name)?.addresses ?? []
  const has = ownAddresses(listing, told)
  const [own] = [given, ...(tellsAddresses ? [has, told] : [told, has])].filter(({ length }) => length > 0)
  const announcement = view.nodes.get(name)?.announcement
  const self: ClusterNode = { name, podCidrs, addresses: own ?? [], ...(announcement && { announcement }) }
  const uplinks = listing.routes.flatMap((route) => uplinkOf(route, foreign) ?? [])
  const linkMtus = new Map([...foreign.values()].map((link) => [link.name, link.mtuBytes]))
  const addresses = new Set(listing.addresses.map(({ address }) => address))
  const answers = listing.answers && answeredUplinks(listing.answers, foreign)
  const servers = serversNow?.()
  const { serviceCidrs } = view
  return {
    ...{ self, uplinks, linkMtus, addresses, missing },
    ...(answers && { answers }),
    ...(servers && { servers }),
    ...(serviceCidrs && { serviceCidrs }),
  }
}

/** Where other nodes reach this one: what it was told, or else its own. @throws KernelError */
export async function nodeAddresses(netlink: Netlink, told: readonly string[]): Promise<readonly string[]> {
  return told.length > 0 ? told : ownAddresses(await listKernel(netlink))
}

/**
 * An address of each family that is no loopback's, no link's own, and none of our doing. Those on a link with a default
 * route go before, as docker0 and its like have addresses, too; then those that last; then those by which others know
 * the node already. The kernel lists an IPv6 link's newest first, which with privacy extensions is another one each day. Pure.
 */
export function ownAddresses({ links, addresses, routes }: KernelListing, told: readonly string[] = []): string[] {
  const foreign = foreignLinks(links)
  const leadsOut = new Set(routes.filter(({ destination }) => destination.endsWith('/0')).map((one) => one.linkIndex))
  const rank = ({ address, linkIndex, isPassing }: ListedAddress) =>
    Number(leadsOut.has(linkIndex)) * 4 + Number(!isPassing) * 2 + Number(told.includes(address))
  const own = addresses
    .filter(({ address, linkIndex }) => foreign.has(linkIndex) && !/^(fe80:|169\.254\.)/.test(address))
    .toSorted((a, b) => rank(b) - rank(a))
    .map(({ address }) => address)
  return [4, 6].flatMap((family) => own.find((address) => familyOf(address) === family) ?? [])
}

function foreignLinks(links: readonly Link[]): Map<number, Link> {
  const foreign = links.filter((link) => !isPodLink(link) && !isTunnelLink(link) && link.name !== 'lo')
  return new Map(foreign.map((link) => [link.index, link]))
}

function uplinkOf(route: ListedRoute, foreign: ReadonlyMap<number, Link>): Uplink | undefined {
  const { destination, gateway, linkIndex, protocol, table, metric } = route
  const link = foreign.get(linkIndex)
  const isOurs = protocol === ROUTE_PROTOCOL || protocol === NODE_ROUTE_PROTOCOL
  if (!link || isOurs || table !== RT_TABLE_MAIN || destination.startsWith('fe80:')) return undefined
  return { cidr: parseCidr(destination), metric, ...wayBy(link, gateway) }
}

function answeredUplinks(
  answers: ReadonlyMap<string, WayOut>,
  foreign: ReadonlyMap<number, Link>,
): ReadonlyMap<string, Uplink> {
  const uplinks = new Map<string, Uplink>()
  for (const [address, { linkIndex, gateway }] of answers) {
    const link = foreign.get(linkIndex)
    const cidr = parseCidr(`${address}/${ADDRESS_BITS[familyOf(address)]}`)
    if (link) uplinks.set(address, { cidr, metric: 0, ...wayBy(link, gateway) })
  }
  return uplinks
}

function wayBy({ name, isPointToPoint }: Link, gateway: string | undefined): Omit<Uplink, 'cidr' | 'metric'> {
  return { link: name, ...(gateway !== undefined && { gateway }), ...(isPointToPoint && { isPointToPoint }) }
}
