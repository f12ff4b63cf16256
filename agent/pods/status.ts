import { CNI_ERROR, CniError } from '../../plugin/errors.ts'
import type { PodNetwork } from './network.ts'

/**
 * Ready for the next ADD? As the specification asks:
 * @throws CniError 50 when no address is left; 51 when the running pods are worse off, too
 */
export function checkStatus(network: PodNetwork): void {
  const { closedBecause } = network.gate
  if (closedBecause)
    throw new CniError(
      CNI_ERROR.notAvailableAndDegraded,
      closedBecause,
      'no pod starts, and running ones are held to what was in the kernel before; see: bramblectl status',
    )
  const exhausted = network.leases.pools.find((pool) => pool.isExhausted)
  if (exhausted)
    throw new CniError(
      CNI_ERROR.notAvailable,
      `no address is free in ${exhausted.cidr.text}: all ${exhausted.capacity} are held`,
      'it heals with the next pod that is deleted; see: bramblectl ipam',
    )
}
