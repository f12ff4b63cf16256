import { faultPoint } from '../fault.ts'
import { KernelError } from '../kernel/errors.ts'
import { getLink, type Link, parseLink, setLinkGroup } from '../kernel/links.ts'
import { deleteNeighbour } from '../kernel/neighbours.ts'
import { Netlink } from '../kernel/netlink.ts'
import { inNetns, openNetns } from '../kernel/netns.ts'
import { deleteRoute } from '../kernel/routes.ts'
import { deleteRuleLike } from '../kernel/rules.ts'
import { hostLinkName, isPodLink, LINK_GROUP } from '../ownership.ts'
import { parseAlias } from './alias.ts'
import { desiredAttachment, podRule } from './attachment.ts'
import type { PodNetwork } from './network.ts'

/**
 * Takes a pod off the network: its routes go now, its addresses begin their rest, its link goes with the next batch.
 * Of what is not there nothing is asked: DEL succeeds for an attachment that never was, and the second time.
 * @param netns the path of the pod's namespace; may be empty, or lead nowhere any more
 * @throws KernelError
 */
export async function deletePod(network: PodNetwork, containerId: string, ifname: string, netns = ''): Promise<void> {
  faultPoint('del:started')
  const link = await findPodLink(network, hostLinkName(containerId, ifname))
  // Where the link's record could not be read, the lease stands under the link's name.
  const owner = (link && network.links.get(link.index)) ?? { containerId, ifname }
  if (link) {
    const lease = network.leases.get(owner.containerId, owner.ifname)
    const addresses = lease?.addresses ?? parseAlias(link.alias)?.addresses ?? []
    const { host } = desiredAttachment({ containerId, ifname, addresses, mtuBytes: 0, hasIpv6: network.hasIpv6 })
    // Condemned first: from here on the link is gone for every later agent, however this one ends.
    const outcomes = await network.netlink.trySend([
      setLinkGroup(link.index, LINK_GROUP.condemned),
      ...host.routes.map((route) => deleteRoute(link.index, route)),
      ...host.neighbours.map((neighbour) => deleteNeighbour(link.index, neighbour)),
    ])
    if (outcomes[0] instanceof KernelError && outcomes[0].errno !== 'ENODEV') throw outcomes[0]
    faultPoint('del:unrouted')
    network.links.delete(link.index)
    network.condemned.added()
  }
  if (netns) await deletePodRules(netns, ifname)
  faultPoint('del:unruled')
  network.leases.release(owner.containerId, owner.ifname)
  faultPoint('del:released')
}

async function findPodLink(network: PodNetwork, name: string): Promise<Link | undefined> {
  const [shown] = await network.netlink.trySend([getLink(name)])
  if (!Array.isArray(shown) || !shown[0]) return undefined
  const link = parseLink(shown[0])
  return isPodLink(link) ? link : undefined
}

/** Rules do not go with the link, which may be gone long since; where the namespace is gone, so are they. */
async function deletePodRules(path: string, ifname: string): Promise<void> {
  const rule = podRule(ifname)
  if (!rule) return
  try {
    const netns = openNetns(path)
    try {
      const netlink = inNetns(netns, () => new Netlink())
      await netlink.trySend([deleteRuleLike(4, rule), deleteRuleLike(6, rule)]).finally(() => netlink.close())
    } finally {
      netns.close()
    }
  } catch {
    // no such namespace any more, or not one
  }
}
