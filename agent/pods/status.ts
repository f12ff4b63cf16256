import { CNI_ERROR, CniError } from '../../plugin/errors.ts'
import type { PodNetwork } from './network.ts'

/** Ready for the next ADD? @throws CniError 50, as the specification asks, when no address is left */
export function checkStatus(network: PodNetwork): void {
  const exhausted = network.leases.pools.find((pool) => pool.isExhausted)
  if (exhausted)
    throw new CniError(
      CNI_ERROR.notAvailable,
      `no address is free in ${exhausted.cidr.text}: all ${exhausted.capacity} are held`,
      'it heals with the next pod that is deleted; see: bramblectl ipam',
    )
}
