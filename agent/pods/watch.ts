import { isBridgePortMessage, linkIndexOf, listLinks, RTM_DELLINK } from '../kernel/links.ts'
import type { EventListener } from '../kernel/netlink.ts'
import type { PodNetwork } from './network.ts'

/** What is gone is found within 1 s, gap or not. */
const BETWEEN_COMPARISONS_MS = 200

/**
 * Frees the addresses of pods whose link is gone without a DEL: the namespace was deleted, or somebody deleted the
 * link. A container runtime that has forgotten a sandbox never calls again; the kernel's event is all that comes.
 */
export function watchPodLinks(network: PodNetwork): EventListener {
  return {
    onMessage: (message) => {
      if (message.type === RTM_DELLINK && !isBridgePortMessage(message)) forgetLink(network, linkIndexOf(message))
    },
    onGap: gapCloser(network),
  }
}

/**
 * Where events are lost they are lost again and again: one comparison at a time, with a pause, so that listings do
 * not pile up in front of the pods' calls; and one line in the log for all of it.
 */
function gapCloser(network: PodNetwork): () => void {
  let isOpen = false
  let isClosing = false
  const close = async () => {
    isClosing = true
    network.log.warn('link events were lost; comparing with the kernel')
    while (isOpen) {
      isOpen = false
      await forgetGoneLinks(network).catch((error) => {
        isOpen = true
        network.log.error({ err: error }, 'cannot list links; trying again')
      })
      await new Promise((resolve) => setTimeout(resolve, BETWEEN_COMPARISONS_MS).unref())
    }
    isClosing = false
  }
  return () => {
    isOpen = true
    if (!isClosing) close()
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
  const lease = network.leases.get(containerId, ifname)
  network.leases.release(containerId, ifname)
  if (lease) {
    network.gate.forget(lease)
    network.ports.withdraw(lease)
  }
  network.log.info({ containerId, ifname }, 'the link of a pod is gone without a DEL; its addresses are free again')
}
