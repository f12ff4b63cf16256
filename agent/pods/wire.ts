import { setImmediate } from 'node:timers/promises'
import { familyOf } from '../../ipam/address.ts'
import type { Lease } from '../../ipam/leases.ts'
import { CNI_ERROR, CniError } from '../../plugin/errors.ts'
import { formatAlias } from '../alias.ts'
import { faultPoint, faultPointAfter } from '../fault.ts'
import { addAddress } from '../kernel/addresses.ts'
import { DirectNetlink } from '../kernel/direct-netlink.ts'
import { isAlreadyExists, KernelError } from '../kernel/errors.ts'
import { settle } from '../kernel/link-conf.ts'
import {
  getLink,
  isRunningLink,
  type Link,
  parseLink,
  setLinkAddressGenerationOff,
  setLinkAlias,
  setLinkGroup,
  setLinkUp,
} from '../kernel/links.ts'
import type { NetlinkMessage, NetlinkRequest } from '../kernel/message.ts'
import { addNeighbour } from '../kernel/neighbours.ts'
import type { NetlinkRequests } from '../kernel/netlink.ts'
import { inNetns, type Netns } from '../kernel/netns.ts'
import { addRoute, getRoute, isLocalRoute } from '../kernel/routes.ts'
import { addRule } from '../kernel/rules.ts'
import { putSysctl } from '../kernel/sysctl.ts'
import { addVethPair } from '../kernel/veth.ts'
import { isPodLink, LINK_GROUP } from '../ownership.ts'
import type { Attachment, LinkSide } from './attachment.ts'
import type { PodNetwork } from './network.ts'
import { deletePodRules } from './pod-rules.ts'
import { missingPortNames } from './port-record.ts'

const SETTLE_DEADLINE_MS = 2_000
const isIpv6 = (address: string) => familyOf(address) === 6

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
  const shown = await createPair(network, netns, attachment)
  const link = parseLink(shown)
  network.links.set(link.index, lease)
  let podNetlink: DirectNetlink | undefined
  try {
    faultPoint('add:created')
    signal.throwIfAborted()
    podNetlink = inNetns(netns, () => {
      for (const sysctl of pod.sysctls) putSysctl(sysctl)
      return new DirectNetlink()
    })
    faultPoint('add:entered')
    const settings = settle(shown, host.sysctls)
    for (const sysctl of settings.sysctls) putSysctl(sysctl)
    // An ADD or a DEL that was cut short may have left rules, of addresses that are others' by now.
    await deletePodRules(podNetlink, pod.linkName)
    const hostRequests = sideRequests(link.index, host, attachment.hasIpv6)
    const portNames = missingPortNames(link, lease)
    const onHost = network.netlink.send([...settings.requests, ...hostRequests, ...portNames])
    await faultPointAfter('add:host-wired', onHost)
    await Promise.all([onHost, podNetlink.send(sideRequests(link.peerIndex, pod, attachment.hasIpv6))])
    faultPoint('add:wired')
    await whatCameMeanwhile()
    signal.throwIfAborted()
    await Promise.all([
      network.netlink.send([setLinkAlias(link.index, formatAlias(lease))]),
      untilMet(network.netlink, [isRunning(host.linkName)]),
      untilMet(podNetlink, [isRunning(pod.linkName), ...lease.addresses.filter(isIpv6).map(isTakenIn)]),
    ])
    faultPoint('add:recorded')
    signal.throwIfAborted()
  } catch (error) {
    if (podNetlink) await deletePodRules(podNetlink, pod.linkName)
    await takeBack(network, link.index) // with it go addresses, routes and neighbours
    throw error
  } finally {
    podNetlink?.close()
  }
}

/** Something that the kernel brings about by itself, a moment after it has acknowledged the request for it. */
interface Condition {
  readonly request: NetlinkRequest
  readonly isMet: (answer: NetlinkMessage) => boolean
}

/**
 * Until here the kernel has answered at once, and nothing else was heard: not that the plugin has gone, whose ADD is to be
 * undone then. libuv reads what was sent in one turn of its loop, and in the next that it was the end.
 */
async function whatCameMeanwhile(): Promise<void> {
  await setImmediate()
  await setImmediate()
}

/** As DEL does it: condemned first, so that the link goes even if this agent does not live to see it. */
async function takeBack(network: PodNetwork, linkIndex: number): Promise<void> {
  network.links.delete(linkIndex)
  await network.netlink.trySend([setLinkGroup(linkIndex, LINK_GROUP.condemned)])
  network.condemned.added()
  await network.condemned.flush().catch(() => {}) // logged there, and tried again
}

/**
 * The end that is up first gets its carrier from the other's, and its queue drops what is sent until the kernel's link
 * watch has run. Which end that is nobody knows: they are set up over two sockets. Linux 6.8 and newer run it for the
 * question itself (rtnl_getlink), older ones within milliseconds.
 */
function isRunning(linkName: string): Condition {
  return { request: getLink(linkName), isMet: isRunningLink }
}

/** An IPv6 address is taken for a stranger's until a work queue has made its route (addrconf_dad_work), DAD or not. */
function isTakenIn(address: string): Condition {
  return { request: getRoute(address), isMet: isLocalRoute }
}

/** @throws KernelError that names the first question whose answer stays bad */
async function untilMet(netlink: NetlinkRequests, conditions: readonly Condition[]): Promise<void> {
  const deadlineMs = performance.now() + SETTLE_DEADLINE_MS
  for (;;) {
    const answers = await netlink.trySend(conditions.map(({ request }) => request))
    const unmet = conditions.find(({ isMet }, index) => {
      const answer = answers[index]
      return !Array.isArray(answer) || !answer[0] || !isMet(answer[0])
    })
    if (!unmet) return
    if (performance.now() > deadlineMs) throw new KernelError(unmet.request.name, 'ETIMEDOUT')
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

/** All that belongs to one end, in an order that the kernel accepts. */
function sideRequests(linkIndex: number, side: LinkSide, hasIpv6: boolean): NetlinkRequest[] {
  return [
    ...(hasIpv6 ? [setLinkAddressGenerationOff(linkIndex)] : []),
    setLinkUp(linkIndex),
    ...objectRequests(linkIndex, side),
  ]
}

/** What a link has, once it is up. */
export function objectRequests(linkIndex: number, side: LinkSide): NetlinkRequest[] {
  return [
    ...side.addresses.map((address) => addAddress(linkIndex, address)),
    ...side.routes.map((route) => addRoute(linkIndex, route)),
    ...side.rules.map(addRule),
    ...side.neighbours.map((neighbour) => addNeighbour(linkIndex, neighbour)),
  ]
}

/** @returns what the kernel says of the node's end */
async function createPair(network: PodNetwork, netns: Netns, attachment: Attachment): Promise<NetlinkMessage> {
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
      // Refused for another reason, or unanswered: what may be there all the same is nobody's.
      if (!isAlreadyExists(created) && inTheWay && isNobodys(network, inTheWay)) await takeBack(network, inTheWay.index)
      throw isAlreadyExists(created) ? alreadyThere(inTheWay, pod.linkName) : created
    }
    if (shown instanceof KernelError) throw shown
    const [message] = shown ?? []
    if (!message) throw new KernelError(`link show ${host.linkName}`, 'ENODEV')
    return message
  }
}

/**
 * Our own leftovers may be in the way of a new pair: links of removed pods that are not deleted yet.
 * @returns whether anything was removed
 */
async function clearTheWay(network: PodNetwork, inTheWay: Link | undefined): Promise<boolean> {
  if (inTheWay && isNobodys(network, inTheWay)) await takeBack(network, inTheWay.index)
  else if (network.condemned.count > 0) await network.condemned.flush()
  else return false
  return true
}

/** A link of ours that belongs to no attachment. */
function isNobodys(network: PodNetwork, link: Link): boolean {
  return isPodLink(link) && !network.links.has(link.index)
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
