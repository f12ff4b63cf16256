import type { Lease } from '../../ipam/leases.ts'
import { formatAlias } from '../alias.ts'
import { type Link, setLinkAlias, setLinkGroup, setLinkMtu, setLinkName, setLinkUp } from '../kernel/links.ts'
import type { NetlinkRequest } from '../kernel/message.ts'
import type { Sysctl } from '../kernel/sysctl.ts'
import { hostLinkName, LINK_GROUP, ROUTE_PROTOCOL, recordOf } from '../ownership.ts'
import { type Attachment, desiredAttachment, HOST_MAC } from './attachment.ts'
import { missingObjects, type ObservedSide } from './compare.ts'
import { missingPortNames } from './port-record.ts'
import { objectRequests } from './wire.ts'

/** What it takes to make a pod's side on the node what ADD made it. Empty where nothing is amiss. */
export interface PutBack {
  /** To be written first: IPv6 may be off. */
  readonly sysctls: readonly Sysctl[]
  readonly requests: readonly NetlinkRequest[]
}

/** The node's side of a finished attachment. Its MTU is what its link has: a plugin after us may have changed it. */
export function hostSideOf(lease: Lease, link: Link, hasIpv6: boolean): Attachment['host'] {
  const { host, hasIpv6: usesIpv6 } = desiredAttachment({ ...lease, mtuBytes: link.mtuBytes, hasIpv6 })
  if (!usesIpv6) return host
  // ADD sets it with the link; the setting is the same thing (net/ipv6/addrconf.c), and listings show that alone.
  return { ...host, sysctls: [...host.sysctls, { key: `ipv6/conf/${host.linkName}/addr_gen_mode`, value: '1' }] }
}

/** @param observed its settings are compared where they were read */
export function putBack(lease: Lease, host: Attachment['host'], observed: ObservedSide): PutBack {
  const { link } = observed
  // A route of another program over the same link is no more ours than one that leads elsewhere.
  const routes = observed.routes.filter(({ protocol }) => protocol === ROUTE_PROTOCOL)
  const missing = missingObjects(host, { ...observed, routes })
  return {
    sysctls: missing.sysctls,
    requests: [
      ...(link.name === host.linkName ? [] : [setLinkName(link.index, host.linkName)]),
      ...(link.group === LINK_GROUP.pods ? [] : [setLinkGroup(link.index, LINK_GROUP.pods)]),
      ...(hasRecord(link, lease) ? [] : [setLinkAlias(link.index, formatAlias(lease))]),
      ...missingPortNames(link, lease),
      ...(link.mac === host.mac ? [] : [setLinkMtu(link.index, link.mtuBytes, host.mac)]),
      ...(link.isUp ? [] : [setLinkUp(link.index)]),
      ...objectRequests(link.index, missing),
    ],
  }
}

/** As a finished ADD leaves it, as far as the link itself tells. */
export function isAsMade(link: Link, lease: Lease): boolean {
  return (
    link.isUp &&
    link.mac === HOST_MAC &&
    link.group === LINK_GROUP.pods &&
    link.name === hostLinkName(lease.containerId, lease.ifname) &&
    hasRecord(link, lease) &&
    missingPortNames(link, lease).length === 0
  )
}

function hasRecord(link: Link, lease: Lease): boolean {
  const record = recordOf({ ...link, name: hostLinkName(lease.containerId, lease.ifname) })
  return record !== undefined && formatAlias(record) === formatAlias(lease)
}
