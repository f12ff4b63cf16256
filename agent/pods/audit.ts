import type { Lease } from '../../ipam/leases.ts'
import { parseAlias } from '../alias.ts'
import { type Link, listLinks } from '../kernel/links.ts'
import { hostOf, type ListedRoute, listRoutes } from '../kernel/routes.ts'
import { hostLinkName, isPodLink, LINK_GROUP, ROUTE_PROTOCOL } from '../ownership.ts'
import type { PodNetwork } from './network.ts'

/** Pods come and go while leases and kernel are listed: what differs is looked at again so often, and so much later. */
const FURTHER_LOOKS = 4
const BETWEEN_LOOKS_MS = 250

/**
 * Leases against the kernel, both ways; every difference in words that lasts. `bramblectl ipam check` shows them.
 * @throws KernelError
 */
export async function audit(network: PodNetwork): Promise<string[]> {
  let lasting = await differencesNow(network)
  for (let look = 0; look < FURTHER_LOOKS && lasting.length > 0; look++) {
    await new Promise((resolve) => setTimeout(resolve, BETWEEN_LOOKS_MS))
    const present = new Set(await differencesNow(network))
    lasting = lasting.filter((difference) => present.has(difference))
  }
  return lasting
}

async function differencesNow(network: PodNetwork): Promise<string[]> {
  const [links, routes4, routes6, ports] = await Promise.all([
    listLinks(network.netlink),
    listRoutes(network.netlink, 4),
    listRoutes(network.netlink, 6),
    network.ports.differences(),
  ])
  return [...differences(network.leases.list(), links, [...routes4, ...routes6]), ...ports]
}

/** Pure. */
export function differences(
  leases: readonly Lease[],
  links: readonly Link[],
  routes: readonly ListedRoute[],
): string[] {
  const podLinks = new Map(links.filter(isPodLink).map((link) => [link.name, link]))
  const leasedNames = new Set(leases.map(({ containerId, ifname }) => hostLinkName(containerId, ifname)))
  const byLink = Map.groupBy(routes, ({ linkIndex }) => linkIndex)
  const linkNames = new Map(links.map(({ index, name }) => [index, name]))
  const routesOfLeases = new Set<string>()
  const found: string[] = []

  const holders = Map.groupBy(
    leases.flatMap((lease) => lease.addresses.map((address) => ({ address, lease }))),
    ({ address }) => address,
  )
  for (const [address, held] of holders)
    if (held.length > 1)
      found.push(`address ${address} is held twice: by ${held.map(({ lease }) => lease.containerId).join(' and ')}`)

  for (const lease of leases) {
    const { containerId, ifname, addresses } = lease
    const whose = `${ifname} of container ${containerId}`
    const link = podLinks.get(hostLinkName(containerId, ifname))
    if (!link) {
      found.push(`lease ${addresses.join(', ')} of ${whose} has no link`)
      continue
    }
    const recorded = parseAlias(link.alias)?.addresses ?? []
    if (recorded.join() !== addresses.join())
      found.push(`link ${link.name} records ${recorded.join(', ') || 'nothing'}, the lease is ${addresses.join(', ')}`)
    const routed = (byLink.get(link.index) ?? []).flatMap((route) => hostOf(route) ?? [])
    for (const address of addresses) {
      routesOfLeases.add(`${link.index} ${address}`)
      if (!routed.includes(address)) found.push(`address ${address} of ${whose} has no route to ${link.name}`)
    }
  }
  for (const [name, link] of podLinks)
    if (!leasedNames.has(name) && link.group === LINK_GROUP.pods) found.push(`link ${name} has no lease`)
  for (const route of routes)
    if (route.protocol === ROUTE_PROTOCOL && !routesOfLeases.has(`${route.linkIndex} ${hostOf(route)}`))
      found.push(`route ${route.destination} over ${linkNames.get(route.linkIndex) ?? route.linkIndex} has no lease`)
  return found
}
