import { isBridgePortMessage, linkIndexOf, listLinks, RTM_DELLINK } from '../kernel/links.ts'
import type { EventListener } from '../kernel/netlink.ts'
import type { PodNetwork } from './network.ts'

/**
 * Frees the addresses of pods whose link is gone without a DEL: the namespace was deleted, or somebody deleted the
 * link. A container runtime that has forgotten a sandbox never calls again; the kernel's event is all that comes.
 */
export function watchPodLinks(network: PodNetwork): EventListener {
  return {
    onMessage: (message) => {
      if (message.type === RTM_DELLINK && !isBridgePortMessage(message)) forgetLink(network, linkIndexOf(message))
    },
    onGap: () => {
      network.log.warn('link events were lost; comparing with the kernel')
      forgetGoneLinks(network).catch((error) => network.log.error({ err: error }, 'cannot list links'))
    },
  }
}

/** The same for links that went while nobody looked. @throws KernelError */
export async function forgetGoneLinks(network: PodNetwork): Promise<void> {
  const known = [...network.links.keys()]
  const present = new Set((await listLinks(network.netlink)).map(({ index }) => index))
  for (const index of known) if (!present.has(index)) forgetLink(network, index)
}

function forgetLink(network: PodNetwork, index: number): void {
  const attachment = network.links.get(index)
  if (!attachment) return // not a pod's, or its DEL was here before
  const { containerId, ifname } = attachment
  network.links.delete(index)
  network.leases.release(containerId, ifname)
  network.log.info({ containerId, ifname }, 'the link of a pod is gone without a DEL; its addresses are free again')
}
