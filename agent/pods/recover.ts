import type { FreedAddress } from '../../ipam/pool.ts'
import { faultPoint } from '../fault.ts'
import { type Link, listLinks, setLinkGroup } from '../kernel/links.ts'
import { addRoute, deleteRoute, hostOf, type ListedRoute, listRoutes } from '../kernel/routes.ts'
import { hostLinkName, isPodLink, LINK_GROUP, ROUTE_PROTOCOL } from '../ownership.ts'
import { type AttachmentRecord, parseAlias } from './alias.ts'
import { desiredAttachment } from './attachment.ts'
import type { PodNetwork } from './network.ts'

/** What the kernel's objects say about the agent before this one. Pure: see planRecovery. */
export interface RecoveryPlan {
  /** Finished attachments: their addresses are held. */
  readonly adopted: readonly { readonly link: Link; readonly record: AttachmentRecord }[]
  /** Links of attachments that were never finished, or whose DEL was; they go. */
  readonly leftover: readonly Link[]
  /** Our routes that belong to no adopted attachment; they go. */
  readonly orphans: readonly ListedRoute[]
}

/**
 * The alias of a link is written last by ADD, and its group changed first by DEL: so a link with an alias in the
 * pods' group is a whole attachment, and every other one of ours is a leftover.
 */
export function planRecovery(links: readonly Link[], routes: readonly ListedRoute[]): RecoveryPlan {
  const ours = links.filter(isPodLink)
  const adopted = ours.flatMap((link) => {
    const record = link.group === LINK_GROUP.pods ? parseAlias(link.alias) : undefined
    return record && hostLinkName(record.containerId, record.ifname) === link.name ? [{ link, record }] : []
  })
  const held = new Set(adopted.flatMap(({ link, record }) => record.addresses.map((ip) => `${link.index} ${ip}`)))
  return {
    adopted,
    leftover: ours.filter((link) => !adopted.some((attachment) => attachment.link === link)),
    orphans: routes.filter(
      (route) => route.protocol === ROUTE_PROTOCOL && !held.has(`${route.linkIndex} ${hostOf(route)}`),
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
  const [links, routes4, routes6] = await Promise.all([
    listLinks(netlink),
    listRoutes(netlink, 4),
    listRoutes(netlink, 6),
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
