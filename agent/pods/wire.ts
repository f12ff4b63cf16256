import type { Lease } from '../../ipam/leases.ts'
import { CNI_ERROR, CniError } from '../../plugin/errors.ts'
import { faultPoint, faultPointAfter } from '../fault.ts'
import { addAddress } from '../kernel/addresses.ts'
import { isAlreadyExists, KernelError } from '../kernel/errors.ts'
import {
  addVethPair,
  deleteLink,
  getLink,
  type Link,
  parseLink,
  setLinkAddressGenerationOff,
  setLinkAlias,
  setLinkUp,
} from '../kernel/links.ts'
import type { NetlinkMessage, NetlinkRequest } from '../kernel/message.ts'
import { addNeighbour } from '../kernel/neighbours.ts'
import { Netlink } from '../kernel/netlink.ts'
import { inNetns, type Netns } from '../kernel/netns.ts'
import { addRoute } from '../kernel/routes.ts'
import { addRule, deleteRuleLike } from '../kernel/rules.ts'
import { putSysctl } from '../kernel/sysctl.ts'
import { isPodLink, LINK_GROUP } from '../ownership.ts'
import { formatAlias } from './alias.ts'
import { type Attachment, type LinkSide, podRule } from './attachment.ts'
import type { PodNetwork } from './network.ts'

const RUNNING_DEADLINE_MS = 2_000

/**
 * Makes the links of an attachment and all that goes with them, and records it as finished. What was made is taken
 * back when anything fails, or when nobody waits any more.
 * @throws KernelError; CniError when something of the same name is in the way; the signal's reason when aborted
 */
export async function wire(
  network: PodNetwork,
  netns: Netns,
  attachment: Attachment,
  lease: Lease,
  signal: AbortSignal,
): Promise<void> {
  const { host, pod } = attachment
  const link = await createPair(network, netns, attachment)
  network.links.set(link.index, lease)
  let podNetlink: Netlink | undefined
  try {
    faultPoint('add:created')
    signal.throwIfAborted()
    podNetlink = inNetns(netns, () => {
      for (const sysctl of pod.sysctls) putSysctl(sysctl)
      return new Netlink()
    })
    faultPoint('add:entered')
    for (const sysctl of host.sysctls) putSysctl(sysctl)
    const onHost = network.netlink.send(sideRequests(link.index, host, attachment.hasIpv6))
    await faultPointAfter('add:host-wired', onHost)
    // An ADD or a DEL that was cut short may have left rules, of addresses that are others' by now.
    const rule = podRule(pod.linkName)
    if (rule) await podNetlink.trySend([deleteRuleLike(4, rule), deleteRuleLike(6, rule)])
    await Promise.all([onHost, podNetlink.send(sideRequests(link.peerIndex, pod, attachment.hasIpv6))])
    faultPoint('add:wired')
    signal.throwIfAborted()
    const [[, hostShown], [podShown]] = await Promise.all([
      network.netlink.send([setLinkAlias(link.index, formatAlias(lease)), getLink(host.linkName)]),
      podNetlink.send([getLink(pod.linkName)]),
    ])
    faultPoint('add:recorded')
    await untilRunning(network.netlink, host.linkName, hostShown?.[0])
    await untilRunning(podNetlink, pod.linkName, podShown?.[0])
    signal.throwIfAborted()
  } catch (error) {
    network.links.delete(link.index)
    await network.netlink.trySend([deleteLink(link.index)]) // takes addresses, routes and neighbours along
    throw error
  } finally {
    podNetlink?.close()
  }
}

/**
 * The end that is up first gets its carrier from the other's, and its queue drops what is sent until the kernel's link
 * watch has run. Which end that is nobody knows: they are set up over two sockets. Linux 6.8 and newer run it for the question itself (rtnl_getlink), older ones within milliseconds.
 */
async function untilRunning(netlink: Netlink, linkName: string, first?: NetlinkMessage): Promise<void> {
  const deadlineMs = performance.now() + RUNNING_DEADLINE_MS
  for (let shown = first; !shown || !parseLink(shown).isRunning; ) {
    if (performance.now() > deadlineMs) throw new KernelError(`link ${linkName} has no carrier`, 'ENOLINK')
    await new Promise((resolve) => setTimeout(resolve, 1))
    const [messages] = await netlink.send([getLink(linkName)])
    shown = messages?.[0]
  }
}

/** All that belongs to one end, in an order that the kernel accepts. */
function sideRequests(linkIndex: number, side: LinkSide, hasIpv6: boolean): NetlinkRequest[] {
  return [
    ...(hasIpv6 ? [setLinkAddressGenerationOff(linkIndex)] : []),
    setLinkUp(linkIndex),
    ...side.addresses.map((address) => addAddress(linkIndex, address)),
    ...side.routes.map((route) => addRoute(linkIndex, route)),
    ...side.rules.map(addRule),
    ...side.neighbours.map((neighbour) => addNeighbour(linkIndex, neighbour)),
  ]
}

async function createPair(network: PodNetwork, netns: Netns, attachment: Attachment): Promise<Link> {
  const { host, pod, mtuBytes } = attachment
  const create = addVethPair({
    name: host.linkName,
    mtuBytes,
    mac: host.mac,
    group: LINK_GROUP.pods,
    peer: { name: pod.linkName, mac: pod.mac, netnsFd: netns.fd },
  })
  for (let isRetry = false; ; isRetry = true) {
    const [created, shown] = await network.netlink.trySend([create, getLink(host.linkName)])
    if (created instanceof KernelError) {
      const inTheWay = Array.isArray(shown) && shown[0] ? parseLink(shown[0]) : undefined
      if (isAlreadyExists(created) && !isRetry && (await clearTheWay(network, inTheWay))) continue
      throw isAlreadyExists(created) ? alreadyThere(inTheWay, pod.linkName) : created
    }
    if (shown instanceof KernelError) throw shown
    const [message] = shown ?? []
    if (!message) throw new KernelError(`link show ${host.linkName}`, 'ENODEV')
    return parseLink(message)
  }
}

/**
 * Our own leftovers may be in the way of a new pair: links of removed pods that are not deleted yet.
 * @returns whether anything was removed
 */
async function clearTheWay(network: PodNetwork, inTheWay: Link | undefined): Promise<boolean> {
  if (network.condemned.count > 0) {
    await network.condemned.flush()
    return true
  }
  if (!inTheWay || !isPodLink(inTheWay) || network.links.has(inTheWay.index)) return false
  await network.netlink.trySend([deleteLink(inTheWay.index)])
  return true
}

function alreadyThere(inTheWay: Link | undefined, ifname: string): CniError {
  if (inTheWay)
    return new CniError(
      CNI_ERROR.alreadyExists,
      `a link ${inTheWay.name} that is not ours exists on the node`,
      `remove or rename it: ip link set ${inTheWay.name} name OTHER`,
    )
  return new CniError(CNI_ERROR.alreadyExists, `${ifname} exists already in the container`, 'it stays as it is')
}
