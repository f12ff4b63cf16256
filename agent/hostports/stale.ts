import { familyOf } from '../../ipam/address.ts'
import { isAnyAddress } from '../../ipam/host-port.ts'
import type { Lease } from '../../ipam/leases.ts'
import type { ConntrackEntry } from '../kernel/conntrack.ts'
import { PROTOCOL_NUMBER } from './table.ts'

/**
 * Whether a connection was begun to a port of the node before this led to the pod. Of UDP such a one lives as long as its
 * packets come, and every one of them goes where the first one went: to nobody, or to the pod before. Pure.
 * @param nodeAddresses what goes through the node to others' ports of the same number stays as it is
 */
export function isStale(
  { original, reply }: Pick<ConntrackEntry, 'original' | 'reply'>,
  { addresses, hostPorts = [] }: Pick<Lease, 'addresses' | 'hostPorts'>,
  nodeAddresses: ReadonlySet<string>,
): boolean {
  const { destination, destinationPort, protocol } = original
  if (protocol !== PROTOCOL_NUMBER.udp || addresses.includes(reply.source)) return false
  const isLoopback = destination.startsWith('127.')
  if (!nodeAddresses.has(destination) && !isLoopback) return false
  return hostPorts.some(({ protocol, hostPort, hostIp }) => {
    if (protocol !== 'udp' || hostPort !== destinationPort) return false
    if (hostIp === destination) return true
    if (isLoopback && destination !== '127.0.0.1') return false // see table.ts
    return hostIp === '' || (isAnyAddress(hostIp) && familyOf(hostIp) === familyOf(destination))
  })
}
