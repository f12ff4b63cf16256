import { type Family, familyOf, undotted } from '../../ipam/address.ts'
import { type HostPort, isAnyAddress, type Protocol } from '../../ipam/host-port.ts'
import type { Lease } from '../../ipam/leases.ts'
import { block, type DefinedTable, ip, renderTable, rule, withoutTable } from '../desired/nftables-text.ts'
import { LINK_GROUP } from '../ownership.ts'

/**
 * Ports of the node that lead to pods. Asked is about the first packet of a connection, and by hash: two look-ups, however
 * many ports there are. Pure.
 *
 * Where kube-proxy or portmap translate the same packet they come first (iptables has dstnat, -100, and srcnat, 100): a
 * node's port that is a Service's stays the Service's. Our own numbers are farther than 10 from any that has a name, since
 * versions of nft print those differently.
 */
export const HOST_PORTS_TABLE = 'inet bramble-hostports'

const PRIORITY = { destination: -80, source: 120 } as const

/** IPPROTO_* of include/uapi/linux/in.h */
export const PROTOCOL_NUMBER: Readonly<Record<Protocol, number>> = { tcp: 6, udp: 17, sctp: 132 }

/** Sets and maps, with their types: for any address of the node, at one address, and the pods themselves. */
const SETS: Readonly<Record<string, readonly [kind: 'map' | 'set', type: string]>> = {
  any4: ['map', 'inet_proto . inet_service : ipv4_addr . inet_service'],
  any6: ['map', 'inet_proto . inet_service : ipv6_addr . inet_service'],
  at4: ['map', 'ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service'],
  at6: ['map', 'ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service'],
  self4: ['set', 'ipv4_addr . ipv4_addr'],
  self6: ['set', 'ipv6_addr . ipv6_addr'],
}

export const LISTINGS = Object.entries(SETS).map(([name, [kind]]) => ({ name, kind }))

/** As nft takes it, protocols by number. */
export interface PortElement {
  readonly set: string
  readonly key: string
  /** Where a map leads to; '' in a set. */
  readonly leadsTo: string
}

const FROM_POD = `iifname "brm*" iifgroup { ${Object.values(LINK_GROUP)
  .map((group) => `0x${group.toString(16)}`)
  .join(', ')} }`

const PORTS_TABLE: DefinedTable = {
  definition: block(`table ${HOST_PORTS_TABLE}`, [
    ...Object.entries(SETS).flatMap(([name, [kind, type]]) => block(`${kind} ${name}`, [`type ${type}`])),
    // 127.0.0.1 is answered by way of the pod's link (route_localnet), which must not let the pod in to it: CVE-2020-8558.
    // Answers come to the node's own address, and are translated after this.
    ...block('chain from-pods', [
      'type filter hook prerouting priority raw; policy accept;',
      rule(`${FROM_POD} ip daddr 127.0.0.0/8 drop`, "to the node's loopback"),
      rule(`${FROM_POD} ip saddr 127.0.0.0/8 drop`, "as from the node's loopback"),
    ]),
    ...(['prerouting', 'output'] as const).flatMap((hook) =>
      block(`chain ${hook}`, [
        `type nat hook ${hook} priority ${PRIORITY.destination}; policy accept;`,
        // A neighbour on the uplink may send to 127.0.0.1, and the kernel, which drops that as a martian, looks only after this.
        ...(hook === 'prerouting' ? [rule('ip daddr 127.0.0.0/8 return', 'from the network')] : []),
        rule('fib daddr type local goto ports', 'to the node, by whatever address'),
      ]),
    ),
    ...block('chain ports', [
      // Nothing that has it as its source leaves the node: IPv6 knows no route_localnet.
      rule('ip6 daddr ::1 return', 'not from the loopback'),
      ...([4, 6] as const).map((family) =>
        rule(`dnat ${ip(family)} to ${ip(family)} daddr . meta l4proto . th dport map @at${family}`, 'to pods'),
      ),
      // Who listens there means that address: systemd-resolved is at 127.0.0.53, and a pod that serves DNS would have the node
      // ask it for the name of the registry that its own image comes from.
      rule('ip daddr 127.0.0.2-127.255.255.255 return', 'other programs of the node'),
      ...([4, 6] as const).map((family) =>
        rule(`dnat ${ip(family)} to meta l4proto . th dport map @any${family}`, 'to pods'),
      ),
    ]),
    ...block('chain postrouting', [
      `type nat hook postrouting priority ${PRIORITY.source}; policy accept;`,
      rule('ct status dnat oifname "brm*" ip saddr 127.0.0.0/8 masquerade', 'from the loopback'),
      ...([4, 6] as const).map((family) =>
        rule(
          `ct status dnat ${ip(family)} saddr . ${ip(family)} daddr @self${family} masquerade`,
          'a pod that calls itself',
        ),
      ),
    ]),
  ]).join('\n'),
}

export const DEFINITION = PORTS_TABLE.definition

export function portElements({ addresses, hostPorts = [] }: Pick<Lease, 'addresses' | 'hostPorts'>): PortElement[] {
  return addresses.flatMap((address) => {
    const family = familyOf(address)
    const ports = hostPorts.flatMap((port) => mapElement(port, address, family) ?? [])
    return ports.length === 0 ? [] : [...ports, { set: `self${family}`, key: `${address} . ${address}`, leadsTo: '' }]
  })
}

/**
 * What is to be in the table. Records are the kernel's, and anybody with the right may change them: of two pods that have one
 * port by theirs it leads to the first, and all others keep what they have.
 */
export function wantedElements(leases: readonly Pick<Lease, 'addresses' | 'hostPorts'>[]): PortElement[] {
  const byPlace = new Map<string, PortElement>()
  for (const element of leases.flatMap(portElements))
    if (!byPlace.has(placeOf(element))) byPlace.set(placeOf(element), element)
  return [...byPlace.values()]
}

/** Where there is room for one. */
export function placeOf({ set, key }: PortElement): string {
  return `${set} ${key}`
}

/** @returns undefined where it is for the other family */
function mapElement(port: HostPort, address: string, family: Family): PortElement | undefined {
  const { protocol, hostIp, hostPort, containerPort } = port
  if (hostIp !== '' && familyOf(hostIp) !== family) return undefined
  const key = `${PROTOCOL_NUMBER[protocol]} . ${hostPort}`
  const leadsTo = `${address} . ${containerPort}`
  return isAnyAddress(hostIp)
    ? { set: `any${family}`, key, leadsTo }
    : { set: `at${family}`, key: `${hostIp} . ${key}`, leadsTo }
}

/** The table with all that is in it, in one transaction; commands that take it away where there is nothing to be in it. */
export function renderPorts(elements: readonly PortElement[]): string {
  if (elements.length === 0) return withoutTable(HOST_PORTS_TABLE).join('\n')
  return [renderTable(HOST_PORTS_TABLE, PORTS_TABLE), renderElements('add', elements)].join('\n')
}

/** @param elements at least one; deleted by their keys */
export function renderElements(verb: 'add' | 'delete', elements: readonly PortElement[]): string {
  const bySet = Map.groupBy(elements, ({ set }) => set)
  return Array.from(bySet, ([set, members]) => {
    const texts = members.map(({ key, leadsTo }) => (verb === 'add' && leadsTo !== '' ? `${key} : ${leadsTo}` : key))
    return `${verb} element ${HOST_PORTS_TABLE} ${set} { ${texts.join(', ')} }`
  }).join('\n')
}

/** What libnftables lists in JSON of one of the sets or maps; `key` is '' for what we never write. */
export function listedElement(set: string, listed: unknown): PortElement {
  const [key, leadsTo] = Array.isArray(listed) ? listed : [listed, undefined]
  return { set, key: concatenated(key), leadsTo: concatenated(leadsTo) }
}

function concatenated(listed: unknown): string {
  if (typeof listed !== 'object' || listed === null) return ''
  const { elem, concat = [] } = listed as Listed
  if (elem) return concatenated(elem.val) // somebody has added a comment
  return concat.map((part) => PROTOCOL_NUMBER[part as Protocol] ?? undotted(String(part))).join(' . ')
}

interface Listed {
  readonly elem?: { readonly val: unknown }
  readonly concat?: readonly (string | number)[]
}
