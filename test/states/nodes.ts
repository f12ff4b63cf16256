import type { Announcement, ClusterNode } from '../../agent/cluster/view.ts'
import { vtepMac } from '../../agent/desired/tunnel.ts'
import { parseCidr } from '../../ipam/address.ts'

/** The nodes of the states: pi-1 is the one whose kernel we look at; 192.168.1.0/24 and 2001:db8:1::/64 are its LAN. */
export function node(
  name: string,
  podCidrs: readonly string[],
  addresses: readonly string[],
  announcement?: Announcement,
): ClusterNode {
  return { name, podCidrs: podCidrs.map(parseCidr), addresses, ...(announcement && { announcement }) }
}

/** Of the VXLAN links: 66 and five bytes of the SHA-1 of the node's name. */
export const MAC = {
  pi1: '66:fe:68:3a:bc:0d',
  pi2: '66:3f:04:b6:d8:be',
  pi3: '66:99:68:ba:d6:d8',
  pi4: '66:0e:e1:1f:de:53',
  pi20: '66:c7:36:12:64:1b',
} as const

/** Which the links would have by EUI-64 (RFC 4291, appendix A), and which routes of IPv6 lead to. */
export const LINK_LOCAL = {
  pi2: 'fe80::643f:4ff:feb6:d8be',
  pi3: 'fe80::6499:68ff:feba:d6d8',
  pi4: 'fe80::640e:e1ff:fe1f:de53',
  pi20: 'fe80::64c7:36ff:fe12:641b',
} as const

/** Half of the many are on the LAN, half behind the router. */
export const MANY = Array.from({ length: 300 }, (_, index) => ({
  name: `rack-${index}`,
  podCidr: `10.${44 + (index >> 8)}.${index & 255}.0/24`,
  tunnelAddress: `10.${44 + (index >> 8)}.${index & 255}.0`,
  address: `192.168.${index % 2 === 0 ? 1 : 2}.${50 + (index >> 1)}`,
  isNear: index % 2 === 0,
  mac: vtepMac(`rack-${index}`),
}))
