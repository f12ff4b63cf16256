import { type Family, familyOf, isAddress } from '../../ipam/address.ts'
import { linkLocalOf } from '../kernel/mac.ts'
import type { LocalPod } from '../policy/input.ts'

/** The chains that decide about a pod of this node; absent: nothing is said about that direction. */
export interface PodEntries {
  readonly ingress: string | undefined
  readonly egress: string | undefined
}

/** The elements that pods of this node have by themselves; of a map the value is a chain. By set or map. */
export type LocalElements = ReadonlyMap<string, ReadonlyMap<string, string>>

/** Their types, as nft writes them. */
export const LOCAL_SETS = {
  links4: 'ifname . ether_addr . ipv4_addr',
  links6: 'ifname . ether_addr . ipv6_addr',
  self4: 'ipv4_addr . ipv4_addr',
  self6: 'ipv6_addr . ipv6_addr',
} as const

/** Of their keys. */
export const LOCAL_MAPS = {
  ingress4: 'ipv4_addr',
  ingress6: 'ipv6_addr',
  egress4: 'ipv4_addr',
  egress6: 'ipv6_addr',
} as const

/** Others would be refused by nft, and all the rest with them; the rules look at links of these names alone. */
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/
const LINK = /^brm\w{1,12}$/

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
  for (const { link, mac, addresses } of [...pods].sort((a, b) => (a.link < b.link ? -1 : 1))) {
    const isPinnable = MAC.test(mac) && LINK.test(link)
    // By which it speaks with its gateway: that is every link's own, and one of each is enough.
    if (isPinnable) put('links', 6, `${link} . ${mac} . ${linkLocalOf(mac)}`)
    for (const address of addresses) {
      if (taken.has(address) || !isAddress(address)) continue
      taken.add(address)
      const family = familyOf(address)
      const { ingress, egress } = entriesOf(link) ?? { ingress: undefined, egress: undefined }
      if (isPinnable) put('links', family, `${link} . ${mac} . ${address}`)
      if (ingress !== undefined) put('ingress', family, address, ingress)
      if (egress !== undefined) put('egress', family, address, egress)
      if (ingress !== undefined || egress !== undefined) put('self', family, `${address} . ${address}`)
    }
  }
  return found
}
