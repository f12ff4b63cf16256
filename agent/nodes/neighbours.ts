import type { LinkNeighbour } from '../desired/objects.ts'
import {
  addNeighbour,
  deleteNeighbour,
  listNeighbours,
  parseNeighbour,
  RTM_DELNEIGH,
  RTM_NEWNEIGH,
} from '../kernel/neighbours.ts'
import type { Netlink } from '../kernel/netlink.ts'
import type { Subsystem } from '../reconcile/subsystem.ts'
import { onLink } from './on-link.ts'
import type { TunnelIndexes } from './tunnel-indexes.ts'

/** The permanent neighbours on our tunnels: which MAC a peer's end has. */
export function neighbours(netlink: Netlink, tunnels: TunnelIndexes): Subsystem<LinkNeighbour> {
  const { put, remove } = onLink(netlink, tunnels)
  const ours = ({ linkIndex, address, mac }: { linkIndex: number; address: string; mac: string }): LinkNeighbour[] => {
    const link = tunnels.nameOf(linkIndex)
    return link ? [{ link, address, mac }] : []
  }
  return {
    name: 'neighbour',
    describe: ({ address, link }) => `neighbour ${address} on ${link}`,
    key: ({ address, link }) => `${link} ${address}`,
    equal: (a, b) => a.mac === b.mac,
    list: async () => (await listNeighbours(netlink)).flatMap(ours),
    put: (objects) =>
      put(
        objects.map(({ desired }) => desired),
        addNeighbour,
      ),
    remove: (objects) => remove(objects, deleteNeighbour),
    read: (message) => {
      if (message.type !== RTM_NEWNEIGH && message.type !== RTM_DELNEIGH) return undefined
      const neighbour = parseNeighbour(message)
      const [object] = neighbour ? ours(neighbour) : []
      return object && { object, isGone: message.type === RTM_DELNEIGH || object.mac === '' }
    },
  }
}
