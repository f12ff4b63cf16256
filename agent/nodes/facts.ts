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

/** Of whom nothing is known yet. */
export const NOBODY: ThisNode = { name: '', podCidrs: [], addresses: [], tellsAddresses: false }

/** The kernel's word, as it was listed; without our routes to other nodes. */
export interface KernelListing {
  readonly links: readonly Link[]
  readonly addresses: readonly ListedAddress[]
  readonly routes: readonly ListedRoute[]
  /** By address: how single ones are reached, asked only where rules decide, which the routes do not tell of. */
  readonly answers?: Answers
}

interface Answers {
  /** Of packets from nowhere in particular. */
  readonly any: ReadonlyMap<string, WayOut>
  /** Of those from this node's own address. */
  readonly own: ReadonlyMap<string, WayOut>
}

/** @param view whose nodes are asked for where the routes alone do not tell the way to them, from thisNode @throws KernelError */
export async function listKernel(
  netlink: Netlink,
  view = EMPTY_VIEW,
  thisNode: ThisNode = NOBODY,
): Promise<KernelListing> {
  const [hasRules, links, addresses, routes4, routes6] = await Promise.all([
    hasMoreThanDefaultRules(netlink),
    listLinks(netlink),
    listAddresses(netlink),
    listRoutes(netlink, 4, NODE_ROUTE_PROTOCOL),
    listRoutes(netlink, 6, NODE_ROUTE_PROTOCOL),
  ])
  const listing = { links, addresses, routes: [...routes4, ...routes6] }
  return hasRules ? { ...listing, answers: await ask(netlink, view, selfAddresses(listing, view, thisNode)) } : listing
}

/** What pods say on a direct way is none of the node's own, and has no particular source; what tunnels wrap it in has. */
async function ask(netlink: Netlink, { nodes }: ClusterView, own: readonly string[]): Promise<Answers> {
  const addresses = [...nodes.values()].flatMap((node) => node.addresses)
  const askEach = async (sourceOf: (address: string) => string | undefined) => {
    const outcomes = await netlink.trySend(addresses.map((address) => getRoute(address, sourceOf(address))))
    return outcomes.flatMap((outcome, index) => {
      const way = Array.isArray(outcome) && outcome[0] && parseWayOut(outcome[0])
      return way ? [[addresses[index] ?? '', way] as const] : []
    })
  }
  const any = await askEach(() => undefined)
  const fromOwn = await askEach((address) => own.find((one) => familyOf(one) === familyOf(address)))
  // An address of ours that we do not have gets no answer.
  return { any: new Map(any), own: new Map([...any, ...fromOwn]) }
}

/** The cluster's word on this node's addresses counts, if it is not this node's; where it has none, the node's own are taken. */
function selfAddresses(
  listing: KernelListing,
  view: ClusterView,
  { name, addresses: given, tellsAddresses }: ThisNode,
): readonly string[] {
  const told = view.nodes.get(name)?.addresses ?? []
  const has = ownAddresses(listing, told)
  const [own] = [given, ...(tellsAddresses ? [has, told] : [told, has])].filter(({ length }) => length > 0)
  return own ?? []
}

/** Pure. */
export function localFacts(
  listing: KernelListing,
  view: ClusterView,
  thisNode: ThisNode,
  missing: ReadonlyMap<Tunnel, string>,
): LocalFacts {
  const { name, podCidrs, servers: serversNow } = thisNode
  const foreign = foreignLinks(listing.links)
  const announcement = view.nodes.get(name)?.announcement
  const own = selfAddresses(listing, view, thisNode)
  const self: ClusterNode = { name, podCidrs, addresses: own, ...(announcement && { announcement }) }
  const uplinks = listing.routes.flatMap((route) => uplinkOf(route, foreign) ?? [])
  const linkMtus = new Map([...foreign.values()].map((link) => [link.name, link.mtuBytes]))
  const addresses = new Set(listing.addresses.map(({ address }) => address))
  const answers = listing.answers && {
    answers: answeredUplinks(listing.answers.any, foreign),
    tunnelAnswers: answeredUplinks(listing.answers.own, foreign),
  }
  const servers = serversNow?.()
  const { serviceCidrs } = view
  return {
    ...{ self, uplinks, linkMtus, addresses, missing },
    ...answers,
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
