import { type Cidr, overlaps, parseCidr } from './address.ts'

/** Addresses that mean something else everywhere, and what. */
export interface Reserved {
  readonly cidr: Cidr
  readonly why: string
}

/** Of no pod and of no node. */
const NOBODYS: readonly Reserved[] = [
  ['0.0.0.0/8', 'this network (RFC 1122)'],
  ['127.0.0.0/8', 'loopback (RFC 1122)'],
  ['224.0.0.0/3', 'multicast and reserved (RFC 5771)'],
  ['::/96', 'unspecified and loopback (RFC 4291)'],
  ['::ffff:0:0/96', 'IPv4-mapped (RFC 4291)'],
  ['fe80::/10', 'link-local (RFC 4291)'],
  ['ff00::/8', 'multicast (RFC 4291)'],
].map(([text = '', why = '']) => ({ cidr: parseCidr(text), why }))

/** Two machines on one cable may have nothing else to speak from. */
const NO_PODS: Reserved = {
  cidr: parseCidr('169.254.0.0/16'),
  why: 'link-local, where the pods have their gateway (RFC 3927)',
}

/** Pure. @returns what a CIDR of pods may not overlap; undefined: nothing */
export function reservedFromPods(cidr: Cidr): Reserved | undefined {
  return [...NOBODYS, NO_PODS].find((one) => overlaps(one.cidr, cidr))
}

/** Pure. @returns what the address is, where it can be no node's; undefined: it can */
export function reservedFromNodes(address: Cidr): Reserved | undefined {
  return NOBODYS.find((one) => overlaps(one.cidr, address))
}
