import { attribute, forEachAttribute, nested, readAttributes, text, u32 } from './attributes.ts'
import { linkIndexOf, linkInfo, RTM_SETLINK } from './links.ts'
import type { NetlinkMessage, NetlinkRequest } from './message.ts'
import type { Sysctl } from './sysctl.ts'

/**
 * A link's settings without their files: how they are is told with the link, and those of IPv4 can be set by requests. To
 * find a file below /proc/sys and write it takes longer than to make a route.
 */

// include/uapi/linux/if_link.h, neighbour.h, rtnetlink.h, include/linux/socket.h
const IFLA_AF_SPEC = 26
const IFLA_INET_CONF = 1
const IFLA_INET6_CONF = 2
const AF_INET = 2
const AF_INET6 = 10
const RTM_SETNEIGHTBL = 67
const NDTA_NAME = 1
const NDTA_PARMS = 6
const NDTPA_IFINDEX = 1
const NDTPA_PROXY_DELAY = 13
/** struct ifinfomsg, struct ndtmsg */
const INFO_BYTES = 16
const TABLE_INFO_BYTES = 4

/** IPV4_DEVCONF_* in include/uapi/linux/ip.h, counted from 1. */
const IPV4_CONF: Readonly<Record<string, number>> = { forwarding: 1, proxy_arp: 3, rp_filter: 8, route_localnet: 26 }
/** DEVCONF_* in include/uapi/linux/ipv6.h, counted from 0. */
const IPV6_CONF: Readonly<Record<string, number>> = { forwarding: 0, accept_ra: 3, proxy_ndp: 22, disable_ipv6: 26 }

/**
 * What brings a link that was made just now to its settings; nothing for what they are by default.
 * @param shown the answer to getLink
 * @param sysctls of this link: `ipv4/conf/NAME/forwarding`
 * @returns requests, and the settings that have to be written into files all the same
 */
export function settle(
  shown: NetlinkMessage,
  sysctls: readonly Sysctl[],
): { readonly requests: NetlinkRequest[]; readonly sysctls: Sysctl[] } {
  const index = linkIndexOf(shown)
  const ipv6 = ipv6ConfOf(shown)
  const ipv4: Buffer[] = []
  const delays: NetlinkRequest[] = []
  const rest = sysctls.filter(({ key, value }) => {
    const [family, kind, , name = ''] = key.split('/')
    const position = (family === 'ipv4' ? IPV4_CONF : IPV6_CONF)[name]
    if (family === 'ipv4' && kind === 'conf' && position !== undefined) ipv4.push(u32(position, Number(value)))
    else if (family === 'ipv4' && kind === 'neigh' && name === 'proxy_delay')
      delays.push(setProxyDelay(index, Number(value)))
    else return position === undefined || numberAt(ipv6, position) !== Number(value)
    return false
  })
  return { requests: [...(ipv4.length > 0 ? [setIpv4Conf(index, ipv4)] : []), ...delays], sysctls: rest }
}

function setIpv4Conf(index: number, conf: readonly Buffer[]): NetlinkRequest {
  return {
    name: `link set ${index} ipv4 settings`,
    type: RTM_SETLINK,
    body: Buffer.concat([linkInfo({ index }), nested(IFLA_AF_SPEC, nested(AF_INET, nested(IFLA_INET_CONF, ...conf)))]),
  }
}

function setProxyDelay(index: number, delayMs: number): NetlinkRequest {
  const delay = Buffer.alloc(8)
  delay.writeBigUInt64LE(BigInt(delayMs))
  const info = Buffer.alloc(TABLE_INFO_BYTES)
  info[0] = AF_INET
  return {
    name: `ntable change name arp_cache dev ${index} proxy_delay ${delayMs}`,
    type: RTM_SETNEIGHTBL,
    body: Buffer.concat([
      info,
      text(NDTA_NAME, 'arp_cache'),
      nested(NDTA_PARMS, u32(NDTPA_IFINDEX, index), attribute(NDTPA_PROXY_DELAY, delay)),
    ]),
  }
}

/** @returns undefined where the link has no IPv6 */
function ipv6ConfOf({ body }: NetlinkMessage): Buffer | undefined {
  let families: Buffer | undefined
  forEachAttribute(body, INFO_BYTES, (type, start, end) => {
    if (type === IFLA_AF_SPEC) families = body.subarray(start, end)
  })
  const ipv6 = families && readAttributes(families).get(AF_INET6)
  return ipv6 && readAttributes(ipv6).get(IFLA_INET6_CONF)
}

/** @returns undefined where the kernel has no such setting */
function numberAt(conf: Buffer | undefined, position: number): number | undefined {
  return conf && conf.length >= position * 4 + 4 ? conf.readInt32LE(position * 4) : undefined
}
