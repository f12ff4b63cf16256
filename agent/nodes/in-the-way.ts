import type { TunnelLink, WireguardLink } from '../desired/objects.ts'
import { KernelError } from '../kernel/errors.ts'
import { parseGre } from '../kernel/gre.ts'
import { parseIpip } from '../kernel/ipip.ts'
import { deleteLink, type Link, listLinks } from '../kernel/links.ts'
import { deleteMovedLink, listMovedLinks } from '../kernel/moved-links.ts'
import type { Netlink } from '../kernel/netlink.ts'
import { parseVxlanNetwork } from '../kernel/vxlan.ts'
import { isTunnelLink } from '../ownership.ts'

/**
 * The kernel takes one VXLAN link of a number and port, and one ipip or gre link of an address. What has them and is
 * ours goes, whatever name somebody has given it and wherever somebody has moved it; another's is named.
 */

/**
 * One with our MAC, which is made from the node's name, is ours under another name.
 * @throws KernelError that names whoever has them
 */
export async function clearTheWay(netlink: Netlink, link: TunnelLink): Promise<void> {
  if (link.kind !== 'vxlan') return
  for (const other of await listLinks(netlink)) {
    if (!isSamePlace(link, other)) continue
    if (other.mac !== link.mac)
      throw new KernelError(
        `link ${other.name} has ${placeOf(link)} already; remove it, or choose another --vxlan-vni`,
        'EEXIST',
      )
    await netlink.send([deleteLink(other.index)])
  }
}

/**
 * For a link that the kernel would not make, since one like it is there, and is not in this namespace.
 * @throws KernelError that names whoever has it, or how to find it
 */
export async function clearOtherNamespaces(netlink: Netlink, link: TunnelLink): Promise<void> {
  const moved = (await listMovedLinks(netlink, link.kind)).filter((other) => isSamePlace(link, other))
  const place = placeOf(link)
  const another = link.kind === 'vxlan' ? ', or choose another --vxlan-vni' : ''
  if (moved.length === 0)
    throw new KernelError(
      `a link that was made on this node and is in another network namespace now has ${place}; find it with "ip -all netns exec ip -d link show type ${link.kind}" and delete it there${another}`,
      'EEXIST',
    )
  for (const other of moved) {
    const isOurs = isTunnelLink(other) || (link.kind === 'vxlan' && other.mac === link.mac)
    if (!isOurs)
      throw new KernelError(
        `link ${other.name} in another network namespace ("ip netns list-id": ${other.netnsId}) has ${place} of this node; delete it there${another}`,
        'EEXIST',
      )
    await netlink.send([deleteMovedLink(other)])
  }
}

/** WireGuard's link is made wherever another one is; its port is then taken, and nothing tells by whom. */
export function portTaken({ name, port }: WireguardLink): KernelError {
  return new KernelError(
    `UDP port ${port} is taken: by the program that "ss -lunp" shows, or where it shows none by a WireGuard link that was moved into another network namespace ("ip -all netns exec wg show"); end that one, with "ip netns exec NETNS ip link delete ${name}", or choose another --wireguard-port`,
    'EADDRINUSE',
  )
}

function isSamePlace(link: TunnelLink, { kind, parameters }: Link): boolean {
  if (kind !== link.kind) return false
  switch (link.kind) {
    case 'vxlan': {
      const { vni, port } = parseVxlanNetwork(parameters)
      return vni === link.vni && port === link.port
    }
    case 'ipip':
      return parseIpip(parameters)?.local === link.local
    case 'gre':
      return parseGre(parameters)?.local === link.local
    default:
      return false
  }
}

function placeOf(link: TunnelLink): string {
  switch (link.kind) {
    case 'vxlan':
      return `VXLAN ${link.vni} on port ${link.port}`
    case 'wireguard':
      return `WireGuard's port ${link.port}`
    default:
      return `${link.kind} from ${link.local}`
  }
}
