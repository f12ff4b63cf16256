import type { Lease } from '../../ipam/leases.ts'
import { addLinkNames, type Link } from '../kernel/links.ts'
import type { NetlinkRequest } from '../kernel/message.ts'
import { hostLinkName } from '../ownership.ts'
import { formatPortNames } from '../port-names.ts'

/** The part of an attachment's record that the alias has no room for: see agent/port-names.ts. @returns none or one */
export function missingPortNames(link: Link, { containerId, ifname, hostPorts }: Lease): NetlinkRequest[] {
  const missing = formatPortNames(hostLinkName(containerId, ifname), hostPorts).filter(
    (name) => !link.altNames.includes(name),
  )
  return missing.length > 0 ? [addLinkNames(link.index, missing)] : []
}
