import type { LinkFdbEntry } from '../desired/objects.ts'
import { addFdbEntry, deleteFdbEntry, listFdb, parseFdbEntry } from '../kernel/fdb.ts'
import { RTM_DELNEIGH, RTM_NEWNEIGH } from '../kernel/neighbours.ts'
import type { Netlink } from '../kernel/netlink.ts'
import { TUNNEL_LINKS } from '../ownership.ts'
import type { Subsystem } from '../reconcile/subsystem.ts'
import { onLink } from './on-link.ts'
import type { TunnelIndexes } from './tunnel-indexes.ts'

/** The forwarding entries of our VXLAN: behind which node a MAC is. */
export function fdb(netlink: Netlink, tunnels: TunnelIndexes): Subsystem<LinkFdbEntry> {
  const { put, remove } = onLink(netlink, tunnels)
  return {
    name: 'fdb entry',
    describe: ({ mac, remote, link }) => `fdb entry ${mac} to ${remote} on ${link}`,
    key: ({ mac, link }) => `${link} ${mac}`,
    equal: (a, b) => a.remote === b.remote,
    list: async () => {
      const vxlan = tunnels.entries.find(([name]) => name === TUNNEL_LINKS.vxlan)
      if (!vxlan) return []
      const [link, index] = vxlan
      return (await listFdb(netlink, index)).map(({ mac, remote }) => ({ link, mac, remote }))
    },
    put: (objects) =>
      put(
        objects.map(({ desired }) => desired),
        addFdbEntry,
      ),
    remove: (objects) => remove(objects, deleteFdbEntry),
    read: (message) => {
      if (message.type !== RTM_NEWNEIGH && message.type !== RTM_DELNEIGH) return undefined
      const entry = parseFdbEntry(message)
      const link = entry && tunnels.nameOf(entry.linkIndex)
      if (!link) return undefined
      return { object: { link, mac: entry.mac, remote: entry.remote }, isGone: message.type === RTM_DELNEIGH }
    },
  }
}
