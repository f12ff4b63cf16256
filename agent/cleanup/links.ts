import { parseAlias } from '../alias.ts'
import { isNotFound, KernelError } from '../kernel/errors.ts'
import { deleteLink, deleteLinkGroup, type Link, listLinks, setLinkGroup } from '../kernel/links.ts'
import type { Netlink } from '../kernel/netlink.ts'
import { isPodLink, isRenamedPodLink, isTunnelLink, LINK_GROUP } from '../ownership.ts'
import type { Found, Step } from './step.ts'

export interface FoundPodLink extends Found {
  readonly index: number
  /** Who loses the network with it: a container, or the link itself where its record cannot be read; absent: nobody any more. */
  readonly user?: string
}

/** The node's ends of all pods' links, also those that wait to be deleted, or that somebody has renamed. */
export function podLinks(netlink: Netlink): Step<FoundPodLink> {
  const isOurs = (link: Link) => isPodLink(link) || isRenamedPodLink(link)
  return {
    name: 'links of pods',
    list: async () => (await listLinks(netlink)).filter(isOurs).map(readPodLink),
    remove: async (found) => {
      // One RCU grace period for all of them; but a group takes along whatever is in it.
      const links = await listLinks(netlink)
      if (!links.some((link) => link.group === LINK_GROUP.condemned && !isOurs(link)))
        await netlink.trySend([
          ...found.map(({ index }) => setLinkGroup(index, LINK_GROUP.condemned)),
          deleteLinkGroup(LINK_GROUP.condemned),
        ])
      return deleteEach(netlink, found) // what is left of them
    },
  }
}

export function tunnelLinks(netlink: Netlink): Step<Found & { readonly index: number }> {
  return {
    name: 'tunnels',
    list: async () =>
      (await listLinks(netlink))
        .filter(isTunnelLink)
        .map(({ name, kind, index }) => ({ text: `link ${name} (${kind})`, index })),
    remove: (found) => deleteEach(netlink, found),
  }
}

/** A link whose group says that it is condemned, or that has no record yet, belongs to a pod that is gone or never was. */
function readPodLink({ name, index, alias, group }: Link): FoundPodLink {
  const record = parseAlias(alias)
  const isInUse = group !== LINK_GROUP.condemned && alias !== ''
  const owner = record && (record.pod ? `pod ${record.pod}` : `container ${record.containerId}`)
  return {
    text: `link ${name}${owner ? ` (${owner})` : ''}`,
    index,
    ...(isInUse && { user: record?.containerId ?? name }),
  }
}

async function deleteEach(netlink: Netlink, found: readonly { readonly index: number }[]) {
  const outcomes = await netlink.trySend(found.map(({ index }) => deleteLink(index)))
  return outcomes.map((outcome) => (outcome instanceof KernelError && !isNotFound(outcome) ? outcome : undefined))
}
