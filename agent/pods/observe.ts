import { type Address, listAddresses } from '../kernel/addresses.ts'
import type { Link } from '../kernel/links.ts'
import { listNeighbours, type Neighbour } from '../kernel/neighbours.ts'
import type { Netlink } from '../kernel/netlink.ts'
import { listRoutes, type Route } from '../kernel/routes.ts'
import type { Sysctl } from '../kernel/sysctl.ts'
import { NODE_ROUTE_PROTOCOL } from '../ownership.ts'
import type { LinkSide } from './attachment.ts'
import type { ObservedSide } from './compare.ts'

/** What the links of one network namespace have, by their indexes: listed once, for one pod or for all. */
export interface LinkObjects {
  readonly addresses: ReadonlyMap<number, readonly Address[]>
  readonly routes: ReadonlyMap<number, readonly Route[]>
  readonly neighbours: ReadonlyMap<number, readonly Neighbour[]>
}

/** @throws KernelError */
export async function listLinkObjects(netlink: Netlink): Promise<LinkObjects> {
  const [addresses, routes4, routes6, neighbours] = await Promise.all([
    listAddresses(netlink),
    listRoutes(netlink, 4, NODE_ROUTE_PROTOCOL),
    listRoutes(netlink, 6, NODE_ROUTE_PROTOCOL),
    listNeighbours(netlink),
  ])
  const byLink = <T extends { readonly linkIndex: number }>(objects: readonly T[]) =>
    Map.groupBy(objects, ({ linkIndex }) => linkIndex)
  return { addresses: byLink(addresses), routes: byLink([...routes4, ...routes6]), neighbours: byLink(neighbours) }
}

export function observedSide(
  link: Link,
  objects: LinkObjects,
  further: Pick<ObservedSide, 'sysctls' | 'rules'>,
): ObservedSide {
  return {
    link,
    addresses: objects.addresses.get(link.index) ?? [],
    routes: objects.routes.get(link.index) ?? [],
    neighbours: objects.neighbours.get(link.index) ?? [],
    ...further,
  }
}

/** @param read undefined where the kernel has no such setting */
export function readSysctls({ sysctls }: LinkSide, read: (key: string) => string | undefined): Sysctl[] {
  return sysctls.map(({ key, value }) => ({ key, value: read(key) ?? absent(key, value) }))
}

/** A link that shrank below IPv6's MTU has no IPv6 settings; what that costs the pod are its addresses, if it had any. */
function absent(key: string, wanted: string): string {
  return key.startsWith('ipv6/') ? wanted : 'absent'
}
