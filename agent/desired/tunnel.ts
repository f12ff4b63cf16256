import { createHash } from 'node:crypto'
import type { Cidr, Family } from '../../ipam/address.ts'
import { tunnelAddress } from '../cluster/view.ts'
import { formatMac, linkLocalOf } from '../kernel/mac.ts'
import { TUNNEL_LINKS } from '../ownership.ts'
import type { LinkAddress, TunnelLink } from './objects.ts'
import { addressOf, type Tunnel, underlayFamily, type WayFacts } from './way.ts'

export interface TunnelSettings {
  readonly vxlanVni: number
  /** UDP. */
  readonly vxlanPort: number
  /** Of this node; absent: it takes part in no WireGuard. */
  readonly wireguard?: { readonly publicKey: string; readonly port: number; readonly keepaliveSeconds: number }
}

/** The name of our link of a kind. */
export function linkOf(tunnel: Tunnel): string {
  return TUNNEL_LINKS[tunnel]
}

/**
 * What the outer headers take of a packet, in bytes: VXLAN (RFC 7348, section 5) Ethernet, IP, UDP and its own;
 * IP in IP (RFC 2003) one IPv4 header; GRE (RFC 2784) that and 4 of its own; WireGuard IP, UDP, 32 of its own.
 */
export function overheadBytes(tunnel: Tunnel, underlay: Family): number {
  switch (tunnel) {
    case 'vxlan':
      return underlay === 4 ? 50 : 70
    case 'ipip':
      return 20
    case 'gre':
      return 24
    case 'wireguard':
      return underlay === 4 ? 60 : 80
  }
}

/** This node's end of a tunnel. Pure. @returns undefined where the node lacks what the tunnel needs */
export function tunnelLink(
  tunnel: Tunnel,
  mtuBytes: number,
  { self }: Pick<WayFacts, 'self'>,
  settings: TunnelSettings,
): TunnelLink | undefined {
  const name = linkOf(tunnel)
  const local = addressOf(self, tunnel === 'vxlan' ? underlayFamily(self) : 4)
  switch (tunnel) {
    case 'vxlan':
      return local === undefined
        ? undefined
        : {
            kind: tunnel,
            name,
            vni: settings.vxlanVni,
            port: settings.vxlanPort,
            local,
            mac: vtepMac(self.name),
            mtuBytes,
          }
    case 'ipip':
    case 'gre':
      return local === undefined ? undefined : { kind: tunnel, name, local, mtuBytes }
    case 'wireguard':
      return (
        settings.wireguard && {
          kind: tunnel,
          name,
          publicKey: settings.wireguard.publicKey,
          port: settings.wireguard.port,
          mtuBytes,
        }
      )
  }
}

/** The node's own addresses on its end, from which it speaks to others' pods. */
export function tunnelAddresses(tunnel: Tunnel, podCidrs: readonly Cidr[]): LinkAddress[] {
  const only: Family | undefined = tunnel === 'ipip' ? 4 : tunnel === 'gre' ? 6 : undefined
  return podCidrs
    .filter(({ family }) => only === undefined || family === only)
    .map((cidr) => ({ link: linkOf(tunnel), address: tunnelAddress(cidr) }))
}

/**
 * The MAC of a node's VXLAN link, known to all from its name: 0x66 and five bytes of SHA-1, as Calico has it. Set at
 * creation, so that systemd does not take it for a random one and replace it.
 */
export function vtepMac(nodeName: string): string {
  return formatMac(Buffer.concat([Uint8Array.of(0x66), createHash('sha1').update(nodeName).digest().subarray(0, 5)]))
}

/**
 * Where a route through VXLAN leads. For IPv6 the link-local address of the peer's end: of any other one, Linux asks by
 * which link it is reached as yet, and refuses the route if that is another (net/ipv6/route.c, ip6_route_check_nh_onlink):
 * so no node could move from the LAN to behind a router.
 */
export function vxlanGateway(cidr: Cidr, mac: string): string {
  return cidr.family === 6 ? linkLocalOf(mac) : tunnelAddress(cidr)
}
