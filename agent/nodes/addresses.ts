import { ADDRESS_BITS, familyOf } from '../../ipam/address.ts'
import type { LinkAddress } from '../desired/objects.ts'
import {
  addAddress,
  deleteAddress,
  listAddresses,
  parseAddress,
  RTM_DELADDR,
  RTM_NEWADDR,
} from '../kernel/addresses.ts'
import type { Netlink } from '../kernel/netlink.ts'
import type { Subsystem } from '../reconcile/subsystem.ts'
import { onLink } from './on-link.ts'
import type { TunnelIndexes } from './tunnel-indexes.ts'

/** The addresses on our tunnels. */
export function addresses(netlink: Netlink, tunnels: TunnelIndexes): Subsystem<LinkAddress> {
  const { put, remove } = onLink(netlink, tunnels)
  const ours = ({ address, linkIndex }: { address: string; linkIndex: number }): LinkAddress[] => {
    const link = tunnels.nameOf(linkIndex)
    return link && !address.startsWith('fe80:') ? [{ link, address }] : [] // those the kernel makes by itself
  }
  return {
    name: 'address',
    describe: ({ address, link }) => `address ${address} on ${link}`,
    key: ({ address, link }) => `${link} ${address}`,
    equal: () => true,
    list: async () => (await listAddresses(netlink)).flatMap(ours),
    put: (objects) =>
      put(
        objects.map(({ desired }) => desired),
        (index, object) => addAddress(index, alone(object)),
      ),
    remove: (objects) => remove(objects, (index, object) => deleteAddress(index, alone(object))),
    read: (message) => {
      if (message.type !== RTM_NEWADDR && message.type !== RTM_DELADDR) return undefined
      const address = parseAddress(message)
      const [object] = address ? ours(address) : []
      return object && { object, isGone: message.type === RTM_DELADDR }
    },
  }
}

/** No network comes with it: the routes say who is behind the link. */
function alone({ address }: LinkAddress) {
  return { address, prefixLength: ADDRESS_BITS[familyOf(address)] }
}
