import { createHash } from 'node:crypto'
import { ADDRESS_BITS, familyOf } from '../../ipam/address.ts'
import type { HostPort } from '../../ipam/host-port.ts'
import type { Address } from '../kernel/addresses.ts'
import { linkLocalOf } from '../kernel/mac.ts'
import type { Neighbour } from '../kernel/neighbours.ts'
import { anyAddress, type Route, RT_TABLE_MAIN } from '../kernel/routes.ts'
import type { Rule } from '../kernel/rules.ts'
import type { Sysctl } from '../kernel/sysctl.ts'
import { hostLinkName, podMacOf, ROUTE_PROTOCOL } from '../ownership.ts'

/**
 * The kernel objects of one pod's attachment, the way Calico lays them: the pod has its address alone (/32, /128) and
 * sends all it has to a gateway that is assigned nowhere, 169.254.1.1; the host has one route per address.
 * Pure: what ADD makes is what CHECK compares with.
 */
export interface Attachment {
  readonly mtuBytes: number
  /** The kernel has IPv6 at all; then it must make no addresses of its own on our links. */
  readonly hasIpv6: boolean
  readonly host: LinkSide
  readonly pod: LinkSide
}

/** One end of the veth pair, with all that goes with it in its own namespace. */
export interface LinkSide {
  readonly linkName: string
  readonly mac: string
  readonly sysctls: readonly Sysctl[]
  readonly addresses: readonly Address[]
  readonly routes: readonly Route[]
  readonly rules: readonly Rule[]
  readonly neighbours: readonly Neighbour[]
}

export interface AttachmentInput {
  readonly containerId: string
  readonly ifname: string
  /** 0 where it is not known and plays no part. */
  readonly mtuBytes: number
  /** At most one of each family. */
  readonly addresses: readonly string[]
  /** Ports of the node that lead to the pod. */
  readonly hostPorts?: readonly HostPort[]
  /** The node's kernel has IPv6, whether or not the pod has an IPv6 address. */
  readonly hasIpv6: boolean
}

/** RFC 8200, section 5. */
export const MTU_BYTES_MIN_IPV6 = 1280

/** The same on every host link: each pair is a network of its own, and a fixed MAC makes fixed gateways. */
export const HOST_MAC = 'ee:ee:ee:ee:ee:ee'
export const GATEWAY = { 4: '169.254.1.1', 6: linkLocalOf(HOST_MAC) } as const

/** include/uapi/linux/rtnetlink.h */
const RTPROT_BOOT = 3
/** Before the main table's rule, 32766. */
const RULE_PRIORITY = 1000
const FURTHER_TABLES_FIRST = 2 ** 30

export function desiredAttachment(input: AttachmentInput): Attachment {
  const { mtuBytes, addresses, ifname } = input
  // A link whose MTU is below IPv6's minimum has no IPv6 at all, and no settings for it (addrconf.c, ipv6_add_dev).
  const hasIpv6 = input.hasIpv6 && (mtuBytes === 0 || mtuBytes >= MTU_BYTES_MIN_IPV6)
  const hostName = hostLinkName(input.containerId, ifname)
  const podMac = podMacOf(input.containerId, ifname)
  const families = [...new Set(addresses.map(familyOf))]
  const hosts = addresses.map((address) => ({ address, prefixLength: ADDRESS_BITS[familyOf(address)] }))
  return {
    mtuBytes,
    hasIpv6,
    host: {
      linkName: hostName,
      mac: HOST_MAC,
      sysctls: [...hostSysctls(hostName, hasIpv6, families.includes(6)), ...loopbackSysctls(hostName, input)],
      addresses: families.includes(6) ? [{ address: GATEWAY[6], prefixLength: 64 }] : [],
      routes: hosts.map(({ address, prefixLength }) => ({
        destination: `${address}/${prefixLength}`,
        table: RT_TABLE_MAIN,
        metric: 0,
        protocol: ROUTE_PROTOCOL,
      })),
      rules: [],
      neighbours: addresses.map((address) => ({ address, mac: podMac })),
    },
    pod: {
      linkName: ifname,
      mac: podMac,
      sysctls: hasIpv6 ? ipv6Sysctls(ifname, families.includes(6)) : [],
      addresses: [...hosts, ...(families.includes(6) ? [{ address: linkLocalOf(podMac), prefixLength: 64 }] : [])],
      ...podRouting(ifname, addresses),
      neighbours: families.map((family) => ({ address: GATEWAY[family], mac: HOST_MAC })),
    },
  }
}

function hostSysctls(name: string, hasIpv6: boolean, isIpv6Used: boolean): Sysctl[] {
  const ipv4 = [
    { key: `ipv4/conf/${name}/rp_filter`, value: '1' }, // a pod sends from its own address only (RFC 3704)
    { key: `ipv4/conf/${name}/forwarding`, value: '1' },
    { key: `ipv4/conf/${name}/proxy_arp`, value: '1' }, // answers for 169.254.1.1, should a pod ask
    { key: `ipv4/neigh/${name}/proxy_delay`, value: '0' },
  ]
  const ipv6 = [
    ...ipv6Sysctls(name, isIpv6Used), // a pod is no router of the node: CVE-2020-10749
    { key: `ipv6/conf/${name}/forwarding`, value: '1' },
    { key: `ipv6/conf/${name}/proxy_ndp`, value: '1' },
  ]
  return hasIpv6 ? [...ipv4, ...ipv6] : ipv4
}

/** What comes to 127.0.0.1 on the node may go to the pod, and its answer may come back: see agent/hostports/table.ts. */
function loopbackSysctls(name: string, { addresses, hostPorts = [] }: AttachmentInput): Sysctl[] {
  const isFromLoopback = hostPorts.some(({ hostIp }) => /^(|0\.0\.0\.0|127\..*)$/.test(hostIp))
  if (!isFromLoopback || !addresses.some((address) => familyOf(address) === 4)) return []
  return [{ key: `ipv4/conf/${name}/route_localnet`, value: '1' }]
}

/** Many a node or runtime turns IPv6 off for new links (disable_ipv6): an address of ours needs it on this one. */
function ipv6Sysctls(name: string, isIpv6Used: boolean): Sysctl[] {
  const enabled = isIpv6Used ? [{ key: `ipv6/conf/${name}/disable_ipv6`, value: '0' }] : []
  return [...enabled, { key: `ipv6/conf/${name}/accept_ra`, value: '0' }]
}

/**
 * eth0 carries the pod's default routes. A further interface has the same with a higher metric, and besides a table of
 * its own for what is sent from its address: replies leave where the requests came in.
 */
function podRouting(ifname: string, addresses: readonly string[]): Pick<LinkSide, 'routes' | 'rules'> {
  const tables = ifname === 'eth0' ? [{ table: RT_TABLE_MAIN, metric: 0 }] : furtherTables(ifname)
  const routes = tables.flatMap(({ table, metric }) =>
    addresses.map(familyOf).flatMap((family) => {
      const common = { table, protocol: RTPROT_BOOT, metric: family === 6 ? 1024 + metric : metric }
      const defaultRoute = { destination: `${anyAddress(family)}/0`, gateway: GATEWAY[family], ...common }
      if (family === 6) return [defaultRoute] // a link-local gateway is on its link by definition
      return [{ destination: `${GATEWAY[family]}/${ADDRESS_BITS[family]}`, ...common }, defaultRoute]
    }),
  )
  const rule = podRule(ifname)
  return { routes, rules: rule ? addresses.map((from) => ({ from, ...rule })) : [] }
}

/**
 * What all rules of an interface have in common; eth0 has none. Rules do not go with their link: by this they are
 * found when nobody knows the address any more.
 */
export function podRule(ifname: string): Omit<Rule, 'from'> | undefined {
  if (ifname === 'eth0') return undefined
  return { table: tableOf(ifname), priority: RULE_PRIORITY, protocol: ROUTE_PROTOCOL }
}

function furtherTables(ifname: string) {
  const number = tableOf(ifname)
  return [
    { table: RT_TABLE_MAIN, metric: number },
    { table: number, metric: 0 },
  ]
}

/** Of 2^30 numbers: two interface names of one pod do not meet. */
function tableOf(ifname: string): number {
  return FURTHER_TABLES_FIRST + (createHash('sha256').update(ifname).digest().readUInt32LE(0) % FURTHER_TABLES_FIRST)
}
