import { NOTRACK_TABLE } from '../desired/notrack.ts'
import type { NodeObjects } from '../desired/objects.ts'
import type { Netlink } from '../kernel/netlink.ts'
import type { Nftables } from '../kernel/nftables.ts'
import type { Subsystem } from '../reconcile/subsystem.ts'
import { addresses } from './addresses.ts'
import { definedTable } from './defined-table.ts'
import { fdb } from './fdb.ts'
import { links } from './links.ts'
import { masqueradeSubsystems } from './masquerade.ts'
import { neighbours } from './neighbours.ts'
import { routes } from './routes.ts'
import { TunnelIndexes } from './tunnel-indexes.ts'
import { WireguardDevice } from './wireguard-device.ts'

/** One for each kind of object that joins nodes. */
export type NodeSubsystems = { readonly [Kind in keyof NodeObjects]: Subsystem<NodeObjects[Kind][number]> } & {
  /** Of it no event tells. */
  readonly wireguard: Pick<WireguardDevice, 'look'>
}

/** @param wireguardKey private, base64; undefined: this node encrypts nothing */
export function nodeSubsystems(
  netlink: Netlink,
  nftables: Pick<Nftables, 'run' | 'list' | 'show'>,
  wireguardKey: string | undefined,
  hasIpv6: boolean,
): NodeSubsystems {
  const tunnels = new TunnelIndexes(netlink)
  const wireguard = new WireguardDevice(tunnels, wireguardKey)
  const masquerade = masqueradeSubsystems(nftables)
  return {
    wireguard,
    links: links(netlink, tunnels, wireguard, hasIpv6),
    addresses: addresses(netlink, tunnels),
    neighbours: neighbours(netlink, tunnels),
    fdb: fdb(netlink, tunnels),
    wireguardPeers: wireguard.peers,
    routes: routes(netlink, tunnels),
    masqueradeTables: masquerade.table,
    masqueradeElements: masquerade.elements,
    notrackTables: definedTable(nftables, NOTRACK_TABLE, (definition) => ({ definition })),
  }
}
