import { attribute, readAttributes, readU32, u32 } from './attributes.ts'
import { KernelError } from './errors.ts'
import { type Link, linkInfo, parseLink, RTM_DELLINK } from './links.ts'
import type { NetlinkMessage, NetlinkRequest } from './message.ts'
import type { Netlink } from './netlink.ts'

/**
 * Links that were made in this network namespace, and that somebody has moved into another one. There they go on
 * working here: a tunnel keeps its sockets, and its number or address, where it was made (struct vxlan_dev, net).
 */

// include/uapi/linux/rtnetlink.h, if_link.h, net_namespace.h
const RTM_GETLINK = 18
const RTM_GETNSID = 90
const IFLA_LINKINFO = 18
const IFLA_EXT_MASK = 29
const IFLA_LINK_NETNSID = 37
const IFLA_TARGET_NETNSID = 46
const IFLA_INFO_KIND = 1
const RTEXT_FILTER_SKIP_STATS = 8
const NETNSA_NSID = 1
const NETNSA_PID = 2
const INFO_BYTES = 16
/** struct rtgenmsg, with its padding; AF_UNSPEC */
const GENERAL = Buffer.alloc(4)

export interface MovedLink extends Link {
  /** By which this namespace knows the one that it is in: `ip netns list-id`. */
  readonly netnsId: number
}

/**
 * Those of a kind that tells where its links were made; WireGuard does not. A namespace is seen that a link went to
 * from here, and not one that it went to from there.
 * @throws KernelError
 */
export async function listMovedLinks(netlink: Netlink, kind: string): Promise<MovedLink[]> {
  const known = await netlink.dump({ name: 'netns list-id', type: RTM_GETNSID, body: GENERAL })
  const moved: (readonly [birthNetnsId: number | undefined, link: MovedLink])[] = []
  for (const netnsId of known.flatMap((message) => netnsIdOf(message) ?? []))
    for (const message of await listIn(netlink, netnsId, kind)) {
      const birthNetnsId = readU32(readAttributes(message.body.subarray(INFO_BYTES)).get(IFLA_LINK_NETNSID))
      moved.push([birthNetnsId, { ...parseLink(message), netnsId }])
    }
  const own = await ownNetnsId(netlink) // which it may have since it was listed
  return moved.flatMap(([birthNetnsId, link]) => (birthNetnsId === own && link.kind === kind ? link : []))
}

export function deleteMovedLink({ index, netnsId }: MovedLink): NetlinkRequest {
  return {
    name: `link delete ${index} in network namespace ${netnsId}`,
    type: RTM_DELLINK,
    body: Buffer.concat([linkInfo({ index }), u32(IFLA_TARGET_NETNSID, netnsId)]),
  }
}

/** What has gone meanwhile has no links. */
async function listIn(netlink: Netlink, netnsId: number, kind: string): Promise<NetlinkMessage[]> {
  const body = Buffer.concat([
    linkInfo({}),
    u32(IFLA_TARGET_NETNSID, netnsId),
    u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS),
    attribute(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, Buffer.from(kind))),
  ])
  try {
    return await netlink.dump({ name: `link show in network namespace ${netnsId}`, type: RTM_GETLINK, body })
  } catch (error) {
    if (error instanceof KernelError && error.errno === 'EINVAL') return []
    throw error
  }
}

/** @returns undefined when the namespace has no id for itself, as nobody has asked for one */
async function ownNetnsId(netlink: Netlink): Promise<number | undefined> {
  const body = Buffer.concat([GENERAL, u32(NETNSA_PID, process.pid)])
  const [[message] = []] = await netlink.send([{ name: 'netns list-id of our own', type: RTM_GETNSID, body }])
  return message && netnsIdOf(message)
}

/** @returns undefined for NETNSA_NSID_NOT_ASSIGNED, -1 */
function netnsIdOf({ body }: NetlinkMessage): number | undefined {
  const id = readAttributes(body.subarray(GENERAL.length)).get(NETNSA_NSID)?.readInt32LE(0)
  return id === undefined || id < 0 ? undefined : id
}
