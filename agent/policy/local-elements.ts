import { type Family, familyOf, isAddress } from '../../ipam/address.ts'
import type { LocalPod } from './input.ts'

/** The chains that decide about a pod of this node; absent: nothing is said about that direction. */
export interface PodEntries {
  readonly ingress: string | undefined
  readonly egress: string | undefined
}

/** The elements that pods of this node have by themselves; of a map the value is a chain. By set or map. */
export type LocalElements = ReadonlyMap<string, ReadonlyMap<string, string>>

export const LOCAL_SETS: Readonly<Record<string, string>> = Object.fromEntries(
  ([4, 6] as const).flatMap((family) => [
    [`self${family}`, `ipv${family}_addr . ipv${family}_addr`],
    [`links${family}`, `ifname . ether_addr . ipv${family}_addr`],
  ]),
)

export const LOCAL_MAPS: Readonly<Record<string, string>> = Object.fromEntries(
  ([4, 6] as const).flatMap((family) => [
    [`ingress${family}`, `ipv${family}_addr`],
    [`egress${family}`, `ipv${family}_addr`],
  ]),
)

/** Of pods' ends, and of the names of the node's (include/uapi/linux/if.h: IFNAMSIZ). Others would be refused by nft, and all the rest with them. */
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/
const LINK = /^[\w.-]{1,15}$/

/**
 * Pure. Each address is one pod's: of two that claim it the one that comes first by its link.
 * @param entriesOf what decides about the pod of a link
 */
export function localElements(
  pods: Iterable<LocalPod>,
  entriesOf: (link: string) => PodEntries | undefined,
): LocalElements {
  const found = new Map([...Object.keys(LOCAL_SETS), ...Object.keys(LOCAL_MAPS)].map((name) => [name, new Map()]))
  const taken = new Set<string>()
  const put = (set: string, family: Family, element: string, chain = '') =>
    found.get(`${set}${family}`)?.set(element, chain)
  for (const { link, mac, addresses } of [...pods].sort((a, b) => (a.link < b.link ? -1 : 1)))
    for (const address of addresses) {
      if (taken.has(address) || !isAddress(address)) continue
      taken.add(address)
      const family = familyOf(address)
      const { ingress, egress } = entriesOf(link) ?? { ingress: undefined, egress: undefined }
      if (MAC.test(mac) && LINK.test(link)) put('links', family, `"${link}" . ${mac} . ${address}`)
      if (ingress !== undefined) put('ingress', family, address, ingress)
      if (egress !== undefined) put('egress', family, address, egress)
      if (ingress !== undefined || egress !== undefined) put('self', family, `${address} . ${address}`)
    }
  return found
}
