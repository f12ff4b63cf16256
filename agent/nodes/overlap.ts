import { ADDRESS_BITS, type Cidr, overlaps } from '../../ipam/address.ts'
import type { OnLinkNetwork } from '../desired/way.ts'

/** The pod CIDR is in use by a network that the node is on; the first pod could take its gateway's address. */
export class OverlapError extends Error {
  override readonly name = 'OverlapError'
  readonly code = 'OVERLAP' as const
}

/**
 * Single addresses do not count: an ADD that meets one says so. Pure.
 * @throws OverlapError
 */
export function refuseOverlap(podCidrs: readonly Cidr[], networks: readonly OnLinkNetwork[]): void {
  for (const { cidr, link } of networks) {
    if (cidr.prefixLength === ADDRESS_BITS[cidr.family]) continue
    const pods = podCidrs.find((one) => overlaps(one, cidr))
    if (pods)
      throw new OverlapError(
        `--pod-cidr ${pods.text} overlaps ${cidr.text}, the network on ${link}; give other addresses to the pods, or remove ${link} if it is a leftover`,
      )
  }
}
