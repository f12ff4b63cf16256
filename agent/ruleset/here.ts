import { familyOf } from '../../ipam/address.ts'
import type { ClusterNode } from '../cluster/view.ts'
import type { LocalElements } from './local-elements.ts'

/** The sets of this node's own addresses: what comes from them, the node says itself. */
export const HERE_SETS = { here4: 'ipv4_addr', here6: 'ipv6_addr' } as const

/** Pure. @param node this one, as the cluster has it */
export function hereElements(node: ClusterNode | undefined): LocalElements {
  return new Map(
    ([4, 6] as const).map((family) => {
      const own = node?.addresses.filter((address) => familyOf(address) === family) ?? []
      return [`here${family}`, new Map(own.map((address) => [address, '']))]
    }),
  )
}
