import { type Family, familyOf } from '../../ipam/address.ts'
import { type HostPort, isAnyAddress, overlapsPort, portInWords } from '../../ipam/host-port.ts'
import type { Lease, LeaseOwner } from '../../ipam/leases.ts'
import { CNI_ERROR, CniError } from '../../plugin/errors.ts'

/** What there is to get. */
export interface NodePorts {
  /** By all attachments of the node. */
  readonly held: readonly Lease[]
  /** Of the pods' addresses. */
  readonly families: readonly Family[]
  /** Of UDP. */
  readonly tunnelPorts: readonly number[]
}

/**
 * The ports of the node that an attachment gets. What a container has by another of its interfaces already, it has. Pure.
 * @throws CniError that names the pod or the tunnel that has one of them, or the address that leads to no pod
 */
export function claimPorts(
  { containerId, hostPorts = [] }: Pick<LeaseOwner, 'containerId' | 'hostPorts'>,
  { held, families, tunnelPorts }: NodePorts,
): HostPort[] {
  return hostPorts.filter((port) => {
    refuseForeignFamily(port, families)
    refuseTunnel(port, tunnelPorts)
    const holder = held.find((lease) => lease.hostPorts?.some((other) => overlapsPort(port, other)))
    if (holder && holder.containerId !== containerId)
      throw new CniError(
        CNI_ERROR.tryAgainLater,
        `${portInWords(port)} of the node leads to ${holder.pod || `container ${holder.containerId}`} already`,
        'give the pod another hostPort, or delete the other pod; see: bramblectl pods',
      )
    return !holder
  })
}

/** A wildcard asks for what there is; an address is meant as it is written. */
function refuseForeignFamily(port: HostPort, families: readonly Family[]): void {
  if (isAnyAddress(port.hostIp) || families.includes(familyOf(port.hostIp))) return
  const family = familyOf(port.hostIp)
  throw new CniError(
    CNI_ERROR.invalidConfig,
    `${portInWords(port)} leads nowhere: pods of this node have no IPv${family} address`,
    `give the node an IPv${family} pod CIDR, or take the hostIP out of the pod's ports`,
  )
}

/** What other nodes send would be led to the pod, and their pods would be cut off. */
function refuseTunnel(port: HostPort, tunnelPorts: readonly number[]): void {
  if (port.protocol !== 'udp' || !tunnelPorts.includes(port.hostPort)) return
  throw new CniError(
    CNI_ERROR.invalidConfig,
    `${portInWords(port)} of the node is where its tunnel to other nodes ends`,
    'give the pod another hostPort, or all nodes another --vxlan-port or --wireguard-port',
  )
}
