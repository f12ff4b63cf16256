import { type Cidr, familyOf, parseCidr } from '../../ipam/address.ts'
import type { ClusterNode, ClusterView } from '../cluster/view.ts'
import type { LocalFacts } from '../desired/network.ts'
import { type Address, listAddresses } from '../kernel/addresses.ts'
import { type Link, listLinks } from '../kernel/links.ts'
import type { Netlink } from '../kernel/netlink.ts'
import { type ListedRoute, listRoutes, RT_TABLE_MAIN } from '../kernel/routes.ts'
import { isPodLink, isTunnelLink, NODE_ROUTE_PROTOCOL, ROUTE_PROTOCOL } from '../ownership.ts'

/** Asks the kernel what this node is and where it is. @throws KernelError */
export async function readFacts(
  netlink: Netlink,
  view: ClusterView,
  name: string,
  podCidrs: readonly Cidr[],
  uplinkMtuBytes: number,
): Promise<LocalFacts> {
  const [links, addresses, routes4, routes6] = await Promise.all([
    listLinks(netlink),
    listAddresses(netlink),
    listRoutes(netlink, 4),
    listRoutes(netlink, 6),
  ])
  return localFacts({ links, addresses, routes: [...routes4, ...routes6] }, view, name, podCidrs, uplinkMtuBytes)
}

export interface KernelListing {
  readonly links: readonly Link[]
  readonly addresses: readonly (Address & { readonly linkIndex: number })[]
  readonly routes: readonly ListedRoute[]
}

/** Pure. The cluster's word on this node's addresses counts; where it has none, the node's own are taken. */
export function localFacts(
  { links, addresses, routes }: KernelListing,
  view: ClusterView,
  name: string,
  podCidrs: readonly Cidr[],
  uplinkMtuBytes: number,
): LocalFacts {
  const foreign = new Map(
    links
      .filter((link) => !isPodLink(link) && !isTunnelLink(link) && link.name !== 'lo')
      .map((link) => [link.index, link]),
  )
  const told = view.nodes.get(name)?.addresses ?? []
  const own = addresses
    .filter(({ address, linkIndex }) => foreign.has(linkIndex) && !/^(fe80:|169\.254\.)/.test(address))
    .map(({ address }) => address)
  const self: ClusterNode = { name, podCidrs, addresses: told.length > 0 ? told : firstOfEachFamily(own) }
  const networks = routes.flatMap(({ destination, gateway, linkIndex, protocol, table }) => {
    const link = foreign.get(linkIndex)
    const isOurs = protocol === ROUTE_PROTOCOL || protocol === NODE_ROUTE_PROTOCOL
    const isEverything = destination.endsWith('/0') // over PPP and the like: on the link, and yet anywhere
    if (!link || gateway || isOurs || isEverything || table !== RT_TABLE_MAIN || destination.startsWith('fe80:'))
      return []
    return [{ cidr: parseCidr(destination), link: link.name }]
  })
  return { self, networks, uplinkMtuBytes }
}

function firstOfEachFamily(addresses: readonly string[]): string[] {
  return [4, 6].flatMap((family) => addresses.find((address) => familyOf(address) === family) ?? [])
}
