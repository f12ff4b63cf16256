import { type Cidr, contains, overlaps } from '../../ipam/address.ts'
import { type RefusedNetworks, refusedNetwork } from '../desired/refused-network.ts'
import { isOnLinkNetwork, type Uplink } from '../desired/way.ts'
import type { Servers } from './servers.ts'

/** The pod CIDR is in use, or not for pods: by a network that the node is on (the first pod could take its gateway's address), by Services, by all nodes together. */
export class OverlapError extends Error {
  override readonly name = 'OverlapError'
  readonly code = 'OVERLAP' as const
}

/**
 * Single addresses do not count: an ADD that meets one says so. Pure.
 * @throws OverlapError
 */
export function refuseOverlap(
  podCidrs: readonly Cidr[],
  uplinks: readonly Uplink[],
  networks: RefusedNetworks = { serviceCidrs: [], clusterCidrs: [] },
): void {
  for (const pods of podCidrs) {
    const reason = refusedNetwork(pods, networks)
    if (reason) throw new OverlapError(`the pod CIDR ${pods.text} of this node ${reason}`)
    const taken = uplinks.find((uplink) => isOnLinkNetwork(uplink) && overlaps(pods, uplink.cidr))
    if (taken)
      throw new OverlapError(
        `the pod CIDR ${pods.text} overlaps ${taken.cidr.text}, the network on ${taken.link}; give other addresses to the pods, or remove ${taken.link} if it is a leftover`,
      )
  }
}

/**
 * The node would look for it among its pods, and never hear of the cluster again. Pure.
 * @throws OverlapError
 */
export function refuseServers(podCidrs: readonly Cidr[], servers: Servers): void {
  for (const pods of podCidrs)
    for (const [address, what] of servers)
      if (contains(pods, address))
        throw new OverlapError(
          `the pod CIDR ${pods.text} of this node holds ${address}, ${what}; give other addresses to the pods`,
        )
}

/**
 * Pods would never reach what is on that network: it counts as theirs. Pure.
 * @throws OverlapError
 */
export function refuseClusterOverlap(clusterCidrs: readonly Cidr[], uplinks: readonly Uplink[]): void {
  for (const cluster of clusterCidrs) {
    const taken = uplinks.find((uplink) => isOnLinkNetwork(uplink) && overlaps(cluster, uplink.cidr))
    if (taken)
      throw new OverlapError(
        `--cluster-cidr ${cluster.text} overlaps ${taken.cidr.text}, the network on ${taken.link}; take other addresses for the pods of the cluster, or remove ${taken.link} if it is a leftover`,
      )
  }
}
