import { parseAlias } from '../alias.ts'
import { faultPoint } from '../fault.ts'
import { DirectNetlink } from '../kernel/direct-netlink.ts'
import { KernelError } from '../kernel/errors.ts'
import { getLink, parseLink, setLinkGroup } from '../kernel/links.ts'
import { deleteNeighbour } from '../kernel/neighbours.ts'
import { inNetns, openNetns } from '../kernel/netns.ts'
import { deleteRoute } from '../kernel/routes.ts'
import { hostLinkName, isPodLink, LINK_GROUP } from '../ownership.ts'
import { desiredAttachment, podRule } from './attachment.ts'
import type { PodNetwork } from './network.ts'
import { deletePodRules } from './pod-rules.ts'

/**
 * Takes a pod off the network: its routes go now, its addresses begin their rest, its link goes with the next batch.
 * Of what is not there nothing is asked: DEL succeeds for an attachment that never was, and the second time.
 * @param netns the path of the pod's namespace; may be empty, or lead nowhere any more
 * @throws KernelError
 */
export async function deletePod(network: PodNetwork, containerId: string, ifname: string, netns = ''): Promise<void> {
  faultPoint('del:started')
  const link =
    findKnownLink(network, containerId, ifname) ?? (await findPodLink(network, hostLinkName(containerId, ifname)))
  // Where the link's record could not be read, the lease stands under the link's name.
  const owner = (link && network.links.get(link.index)) ?? { containerId, ifname }
  if (link) {
    const { index, addresses = network.leases.get(owner.containerId, owner.ifname)?.addresses ?? [] } = link
    const { host } = desiredAttachment({ containerId, ifname, addresses, mtuBytes: 0, hasIpv6: network.hasIpv6 })
    // Condemned first: from here on the link is gone for every later agent, however this one ends.
    const outcomes = await network.netlink.trySend([
      setLinkGroup(index, LINK_GROUP.condemned),
      ...host.routes.map((route) => deleteRoute(index, route)),
      ...host.neighbours.map((neighbour) => deleteNeighbour(index, neighbour)),
    ])
    if (outcomes[0] instanceof KernelError && outcomes[0].errno !== 'ENODEV') throw outcomes[0]
    faultPoint('del:unrouted')
    network.links.delete(index)
    network.condemned.added()
  }
  if (netns) await enterAndDeleteRules(netns, ifname)
  faultPoint('del:unruled')
  const lease = network.leases.get(owner.containerId, owner.ifname)
  if (lease) {
    network.leases.release(owner.containerId, owner.ifname)
    network.gate.forget(lease)
    faultPoint('del:released')
    await network.ports.withdraw(lease)
  }
  faultPoint('del:withdrawn')
}

interface FoundLink {
  readonly index: number
  /** As the link's own record says, where no lease does. */
  readonly addresses?: readonly string[]
}

/** The link that this agent made or adopted: the kernel gives an index to one link only, so nothing has to be asked. */
function findKnownLink(network: PodNetwork, containerId: string, ifname: string): FoundLink | undefined {
  for (const [index, owner] of network.links)
    if (owner.containerId === containerId && owner.ifname === ifname) return { index }
  return undefined
}

async function findPodLink(network: PodNetwork, name: string): Promise<FoundLink | undefined> {
  const [shown] = await network.netlink.trySend([getLink(name)])
  if (!Array.isArray(shown) || !shown[0]) return undefined
  const link = parseLink(shown[0])
  if (!isPodLink(link)) return undefined
  const owner = network.links.get(link.index)
  const lease = owner && network.leases.get(owner.containerId, owner.ifname)
  return { index: link.index, addresses: lease?.addresses ?? parseAlias(link.alias)?.addresses ?? [] }
}

/** Rules do not go with the link, which may be gone long since; where the namespace is gone, so are they. */
async function enterAndDeleteRules(path: string, ifname: string): Promise<void> {
  if (!podRule(ifname)) return
  try {
    const netns = openNetns(path)
    try {
      const netlink = inNetns(netns, () => new DirectNetlink())
      await deletePodRules(netlink, ifname).finally(() => netlink.close())
    } finally {
      netns.close()
    }
  } catch {
    // no such namespace any more, or not one
  }
}
