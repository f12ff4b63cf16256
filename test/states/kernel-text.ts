import { KINDS, type LinkNeighbour, type NodeObjects, type TunnelLink } from '../../agent/desired/objects.ts'
import { ADDRESS_BITS, familyOf } from '../../ipam/address.ts'

/**
 * The kernel objects of ours as text, a line for each, in the words of the tool that shows them: `ip link`, `ip address`,
 * `ip neigh`, `bridge fdb`, `wg`, `ip route`, and the elements of each set of `nft`.
 */

const LINES: { readonly [Kind in keyof NodeObjects]: (objects: NodeObjects[Kind]) => string[] } = {
  links: (links) => links.map((link) => `link ${link.name} UP mtu ${link.mtuBytes} ${tunnelWords(link)}`),
  addresses: (addresses) =>
    addresses.map(({ link, address }) => `inet ${address}/${ADDRESS_BITS[familyOf(address)]} dev ${link}`),
  neighbours: (neighbours) =>
    neighbours.map((one) => `neigh ${dotted(one.address)} dev ${one.link} lladdr ${linkLayerAddress(one)} PERMANENT`),
  fdb: (entries) => entries.map(({ link, mac, remote }) => `fdb ${mac} dev ${link} dst ${remote} self permanent`),
  wireguardPeers: (peers) =>
    peers.map(
      ({ publicKey, endpoint, allowedIps }) =>
        `peer ${publicKey} endpoint ${endpoint.address}:${endpoint.port} allowed-ips ${allowedIps.toSorted().join(',')}`,
    ),
  routes: (routes) =>
    routes.map(({ destination, link, gateway, isOnlink, isLast }) =>
      link === undefined
        ? `blackhole ${destination}${isLast ? ' metric 2147483647' : ''}`
        : `${destination}${gateway ? ` via ${dotted(gateway)}` : ''} dev ${link}${isOnlink ? ' onlink' : ''}`,
    ),
  masqueradeTables: () => [], // seen by their elements
  masqueradeElements: (elements) =>
    Array.from(
      Map.groupBy(elements, ({ set }) => set),
      ([set, members]) =>
        setLine(
          set,
          members.map(({ address }) => address),
        ),
    ),
  notrackTables: (tables) => tables.flatMap(({ definition }) => notrackLines(definition)),
}

/** In no particular order; see sortedLines(). */
export function kernelText(objects: NodeObjects): string {
  return KINDS.flatMap((kind) => (LINES[kind] as (objects: readonly unknown[]) => string[])(objects[kind])).join('\n')
}

/** The rules of a table, without what is for people. */
export function notrackLines(table: string): string[] {
  return Array.from(table.matchAll(/^\s*(\S.* notrack) comment/gm), ([, rule = '']) => rule)
}

export function setLine(set: string, addresses: readonly string[]): string {
  return `set ${set} { ${addresses.toSorted().join(', ')} }`
}

export function sortedLines(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .sort()
}

function tunnelWords(link: TunnelLink): string {
  switch (link.kind) {
    case 'vxlan':
      return `lladdr ${link.mac} vxlan id ${link.vni} local ${link.local} dstport ${link.port} nolearning`
    case 'wireguard':
      return `wireguard public-key ${link.publicKey} listen-port ${link.port}`
    default:
      return `${link.kind} local ${link.local}`
  }
}

/** `::c0a8:203` is `::192.168.2.3` to those who use inet_ntop(3). */
function dotted(address: string): string {
  const [, high, low] = /^::([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(address) ?? []
  if (high === undefined || low === undefined) return address
  const words = [high, low].map((word) => Number.parseInt(word, 16))
  return `::${words.flatMap((word) => [word >> 8, word & 255]).join('.')}`
}

/** On GRE that is an IPv4 address. */
function linkLayerAddress({ mac }: LinkNeighbour): string {
  const bytes = mac.split(':')
  return bytes.length === 4 ? bytes.map((byte) => Number.parseInt(byte, 16)).join('.') : mac
}
