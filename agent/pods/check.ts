import { familyOf } from '../../ipam/address.ts'
import { CNI_ERROR, CniError } from '../../plugin/errors.ts'
import { missingFromResult } from '../../plugin/result.ts'
import { getLink, type Link, parseLink } from '../kernel/links.ts'
import { Netlink } from '../kernel/netlink.ts'
import { inNetns, type Netns } from '../kernel/netns.ts'
import { listRules, type Rule } from '../kernel/rules.ts'
import { getSysctl } from '../kernel/sysctl.ts'
import { isPodLink } from '../ownership.ts'
import { type AttachmentRequest, openPodNetns, summarize } from './add.ts'
import { desiredAttachment, type LinkSide } from './attachment.ts'
import { compareSides, type ObservedSide } from './compare.ts'
import type { PodNetwork } from './network.ts'
import { listLinkObjects, observedSide, readSysctls } from './observe.ts'

/**
 * Compares a pod's attachment in the kernel with what ADD makes. What later plugins of the chain may change (the
 * MTU, further addresses and routes) is theirs. The MAC is not: the node sends to the one that it gave.
 * @throws CniError that names every difference
 */
export async function checkPod(network: PodNetwork, request: AttachmentRequest): Promise<void> {
  const { containerId, ifname, config } = request
  const lease = network.leases.get(containerId, ifname)
  if (!lease)
    throw new CniError(
      CNI_ERROR.unknownContainer,
      `${ifname} of container ${containerId} is not known`,
      'it was never added, or its namespace is gone; delete the pod and let it be made again',
    )
  const attachment = desiredAttachment({ ...lease, mtuBytes: config.mtuBytes, hasIpv6: network.hasIpv6 })
  const netns = openPodNetns(request.netns)
  try {
    const [host, pod, ports] = await Promise.all([
      observe(network.netlink, attachment.host, getSysctl),
      observePod(netns, attachment.pod),
      network.ports.differences([lease]),
    ])
    const differences = [
      ...(host && !isPodLink(host.link) ? [`the node's link ${host.link.name} is not ours`] : []),
      ...(host && pod && host.link.peerIndex !== pod.link.index
        ? [`${ifname} in the pod is not the other end of ${host.link.name}`]
        : []),
      ...compareSides('on the node', attachment.host, host),
      ...compareSides('in the pod', attachment.pod, pod),
      ...ports,
      ...missingFromResult(config.prevResult ?? {}, summarize(attachment, lease.addresses, request.netns)).map(
        (what) => `prevResult does not show ${what}`,
      ),
    ]
    if (differences.length > 0)
      throw new CniError(
        CNI_ERROR.checkFailed,
        `${ifname} of container ${containerId} is not as ADD made it: ${differences.join('; ')}`,
        'delete the pod and let it be made again; find the program that changed it',
      )
  } finally {
    netns.close()
  }
}

async function observePod(netns: Netns, side: LinkSide): Promise<ObservedSide | undefined> {
  const netlink = inNetns(netns, () => new Netlink())
  try {
    return await observe(netlink, side, (key) => inNetns(netns, () => getSysctl(key)))
  } finally {
    netlink.close()
  }
}

/** @returns undefined when the link is not there */
async function observe(
  netlink: Netlink,
  side: LinkSide,
  readSysctl: (key: string) => string | undefined,
): Promise<ObservedSide | undefined> {
  const [shown] = await netlink.trySend([getLink(side.linkName)])
  if (!Array.isArray(shown) || !shown[0]) return undefined
  const link: Link = parseLink(shown[0])
  const [objects, rules] = await Promise.all([listLinkObjects(netlink), listRulesFor(netlink, side)])
  return observedSide(link, objects, { sysctls: readSysctls(side, readSysctl), rules })
}

/** Few attachments have rules, and so the kernel is seldom asked. */
async function listRulesFor(netlink: Netlink, { rules }: LinkSide): Promise<Rule[]> {
  const families = [...new Set(rules.map(({ from }) => familyOf(from)))]
  return (await Promise.all(families.map((family) => listRules(netlink, family)))).flat()
}
