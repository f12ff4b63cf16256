import type { Lease } from '../../ipam/leases.ts'
import type { FreedAddress } from '../../ipam/pool.ts'
import { parseAlias } from '../alias.ts'
import { faultPoint } from '../fault.ts'
import { type Link, listLinks, setLinkGroup } from '../kernel/links.ts'
import { listNeighbours } from '../kernel/neighbours.ts'
import { addRoute, deleteRoute, hostOf, type ListedRoute, listRoutes } from '../kernel/routes.ts'
import { isPodLink, LINK_GROUP, ROUTE_PROTOCOL, recordOf } from '../ownership.ts'
import { parsePortNames } from '../port-names.ts'
import { desiredAttachment } from './attachment.ts'
import type { PodNetwork } from './network.ts'

/** What the kernel's objects say about the agent before this one. Pure: see planRecovery. */
export interface RecoveryPlan {
  /** Finished attachments: their addresses are held. */
  readonly adopted: readonly { readonly link: Link; readonly record: Lease }[]
  /** Somebody has changed their record, or a later version wrote it: whose they are is not known, but they may be in use. */
  readonly unreadable: readonly Link[]
  /** Links of attachments that were never finished, or whose DEL was; they go. */
  readonly leftover: readonly Link[]
  /** Our routes that belong to no adopted attachment; they go. */
  readonly orphans: readonly ListedRoute[]
}

/**
 * The alias of a link is written last by ADD, and its group changed first by DEL: so a link with an alias that is not
 * condemned is a whole attachment, and every other one of ours is a leftover.
 */
export function planRecovery(links: readonly Link[], routes: readonly ListedRoute[]): RecoveryPlan {
  const ours = links.filter(isPodLink)
  const standing = ours.filter(({ group }) => group !== LINK_GROUP.condemned)
  const adopted = standing.flatMap((link) => {
    const record = recordOf(link)
    const hostPorts = parsePortNames(link.name, link.altNames)
    return record ? [{ link, record: hostPorts.length > 0 ? { ...record, hostPorts } : record }] : []
  })
  const unreadable = standing.filter((link) => link.alias !== '' && !recordOf(link))
  const held = new Set(adopted.flatMap(({ link, record }) => record.addresses.map((ip) => `${link.index} ${ip}`)))
  return {
    adopted,
    unreadable,
    leftover: ours.filter(
      (link) => !adopted.some((attachment) => attachment.link === link) && !unreadable.includes(link),
    ),
    orphans: routes.filter(
      (route) =>
        route.protocol === ROUTE_PROTOCOL &&
        !held.has(`${route.linkIndex} ${hostOf(route)}`) &&
        !unreadable.some(({ index }) => index === route.linkIndex),
    ),
  }
}

/**
 * Rebuilds the agent's picture from the kernel, and brings what is half made or half removed to an end. Nothing but
 * our own objects is touched.
 * @param freedBefore what the earlier agents freed in this boot, oldest first
 * @throws KernelError when the kernel cannot be asked; refusals of single objects are logged and left
 */
export async function recover(network: PodNetwork, freedBefore: readonly FreedAddress[]): Promise<void> {
  const { netlink, leases, log } = network
  const [links, routes4, routes6, neighbours] = await Promise.all([
    listLinks(netlink),
    listRoutes(netlink, 4),
    listRoutes(netlink, 6),
    listNeighbours(netlink),
  ])
  const routes = [...routes4, ...routes6]
  const plan = planRecovery(links, routes)
  faultPoint('recover:listed')

  for (const { link, record } of plan.adopted) {
    network.links.set(link.index, record)
    const conflicts = leases.adopt(record)
    if (conflicts.length > 0)
      log.error({ link: link.name, ...record, conflicts }, 'an address is held by two pods; delete one of them')
    const missing = desiredAttachment({ ...record, mtuBytes: 0, hasIpv6: network.hasIpv6 }).host.routes.filter(
      ({ destination }) => !routes.some((route) => route.destination === destination && route.linkIndex === link.index),
    )
    if (missing.length > 0) {
      log.warn({ link: link.name, routes: missing.map(({ destination }) => destination) }, 'restoring routes of a pod')
      await netlink.trySend(missing.map((route) => addRoute(link.index, route)))
    }
  }

  for (const link of plan.unreadable) {
    const ofLink = routes.filter(({ protocol, linkIndex }) => protocol === ROUTE_PROTOCOL && linkIndex === link.index)
    const addresses = ofLink.flatMap((route) => hostOf(route) ?? [])
    const owner = { containerId: link.name, ifname: '?', network: '?', pod: '' }
    network.links.set(link.index, owner)
    const mac = neighbours.find(
      ({ linkIndex, address }) => linkIndex === link.index && addresses.includes(address),
    )?.mac
    const hostPorts = parsePortNames(link.name, link.altNames)
    const found = { link: link.name, mac: mac ?? '' }
    leases.adopt({ ...owner, addresses, ...(hostPorts.length > 0 && { hostPorts }), found })
    log.error(
      { link: link.name, alias: link.alias, addresses },
      'the record of a pod cannot be read; it keeps its network and its addresses: delete the pod',
    )
  }
  const regrouped = plan.adopted.filter(({ link }) => link.group !== LINK_GROUP.pods)
  for (const { link } of regrouped)
    log.warn({ link: link.name, group: link.group }, 'restoring the group of a pod link')
  await netlink.trySend(regrouped.map(({ link }) => setLinkGroup(link.index, LINK_GROUP.pods)))
  faultPoint('recover:adopted')

  leases.restoreFreed(freedBefore)
  await netlink.trySend(plan.orphans.map((route) => deleteRoute(route.linkIndex, route)))
  faultPoint('recover:unrouted')
  for (const link of plan.leftover) {
    const record = parseAlias(link.alias)
    if (record) leases.rest(record.addresses)
    log.info({ link: link.name, containerId: record?.containerId }, 'removing what an earlier agent left unfinished')
    network.condemned.added()
  }
  await netlink.trySend(plan.leftover.map((link) => setLinkGroup(link.index, LINK_GROUP.condemned)))
  faultPoint('recover:condemned')
  await network.condemned.flush().catch(() => {}) // logged there, and tried again
  faultPoint('recover:removed')
  log.info(
    { pods: plan.adopted.length, leftoverLinks: plan.leftover.length, orphanRoutes: plan.orphans.length },
    'recovered from the kernel',
  )
}
