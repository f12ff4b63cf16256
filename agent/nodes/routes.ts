import type { NodeRoute } from '../desired/objects.ts'
import { isAlreadyExists, isNotFound, KernelError } from '../kernel/errors.ts'
import { listLinks } from '../kernel/links.ts'
import type { Netlink } from '../kernel/netlink.ts'
import {
  addRoute,
  deleteRoute,
  type ListedRoute,
  listRoutes,
  parseRoute,
  type Route,
  RT_TABLE_MAIN,
  RTM_DELROUTE,
  RTM_NEWROUTE,
  replaceRoute,
} from '../kernel/routes.ts'
import { NODE_ROUTE_PROTOCOL } from '../ownership.ts'
import type { Subsystem } from '../reconcile/subsystem.ts'
import { onLink } from './on-link.ts'
import type { TunnelIndexes } from './tunnel-indexes.ts'

/** RTA_PRIORITY of a route that counts last; the largest is the best known, and somebody else's. */
const LAST_METRIC = 0x7fff_ffff

/** A route as it was listed keeps its link's index: the link may lose its name, and the route is still to be removed. */
type IndexedRoute = NodeRoute & { readonly linkIndex?: number }

/** The routes to other nodes' pods. */
export function routes(netlink: Netlink, tunnels: TunnelIndexes): Subsystem<IndexedRoute> {
  const { put } = onLink(netlink, tunnels)
  let linkNames: ReadonlyMap<number, string> = new Map()
  const ours = (route: ListedRoute): IndexedRoute[] => {
    if (route.protocol !== NODE_ROUTE_PROTOCOL || route.table !== RT_TABLE_MAIN) return []
    const { destination, gateway, linkIndex, isBlackhole, metric } = route
    if (isBlackhole) return [{ destination, linkIndex: 0, ...(metric === LAST_METRIC && { isLast: true }) }]
    const link = tunnels.nameOf(linkIndex) ?? linkNames.get(linkIndex) ?? ''
    return [{ destination, link, ...(gateway && { gateway }), linkIndex }]
  }
  return {
    name: 'route',
    describe: ({ destination, gateway, link, isLast }) =>
      link === undefined
        ? `route blackhole ${destination}${isLast ? ' (last)' : ''}`
        : `route ${destination}${gateway ? ` via ${gateway}` : ''} dev ${link}`,
    key: ({ destination, isLast }) => (isLast ? `${destination} last` : destination),
    equal: (a, b) => a.gateway === b.gateway && a.link === b.link,
    list: async () => {
      const [links, ...lists] = await Promise.all([listLinks(netlink), listRoutes(netlink, 4), listRoutes(netlink, 6)])
      linkNames = new Map(links.map(({ index, name }) => [index, name]))
      return lists.flat().flatMap(ours)
    },
    // Replacing goes by destination and does not ask whose the route is: only over our own.
    put: async (objects) => {
      const desired = objects.map((one) => one.desired)
      const errors = await put(desired, (index, object, position) =>
        (objects[position]?.actual ? replaceRoute : addRoute)(index, kernelRoute(object)),
      )
      return errors.map((error) =>
        isAlreadyExists(error) ? new KernelError('another program has this route', 'EEXIST') : error,
      )
    },
    // Never by the link: a route is known by where it leads.
    remove: async (objects) => {
      const requests = objects.map((object) => deleteRoute(object.linkIndex ?? 0, kernelRoute(object)))
      const outcomes = await netlink.trySend(requests)
      return outcomes.map((outcome) => (outcome instanceof KernelError && !isNotFound(outcome) ? outcome : undefined))
    },
    read: (message) => {
      if (message.type !== RTM_NEWROUTE && message.type !== RTM_DELROUTE) return undefined
      const route = parseRoute(message)
      const [object] = route ? ours(route) : []
      return object && { object, isGone: message.type === RTM_DELROUTE }
    },
  }
}

function kernelRoute({ destination, link, gateway, isOnlink, isLast }: NodeRoute): Route {
  return {
    destination,
    ...(gateway && { gateway }),
    ...(isOnlink && { isOnlink }),
    ...(link === undefined && { isBlackhole: true }),
    table: RT_TABLE_MAIN,
    metric: isLast ? LAST_METRIC : 0,
    protocol: NODE_ROUTE_PROTOCOL,
  }
}
