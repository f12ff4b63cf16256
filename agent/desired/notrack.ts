import { familyOf } from '../../ipam/address.ts'
import { block, type DefinedTable, ip, rule } from './nftables-text.ts'
import type { TunnelLink } from './objects.ts'

/**
 * VXLAN's own packets are kept out of the table of connections. As soon as anybody masquerades, the kernel would look up
 * each of them a second time: once as what pods say, once as what carries it. There is nothing to know about the latter,
 * as both directions have ports of their own (RFC 7348, section 5), so that no packet of theirs is ever an answer.
 *
 * Only between this node's own address and others: what passes through this node, or comes from its pods, stays tracked.
 */

export const NOTRACK_TABLE = 'inet bramble-notrack'

/** Pure. @param links this node's ends of tunnels @returns none or one */
export function desiredNotrack(links: readonly TunnelLink[]): readonly DefinedTable[] {
  const vxlan = links.find((link) => link.kind === 'vxlan')
  if (!vxlan) return []
  const { local, port } = vxlan
  const header = ip(familyOf(local))
  const hook = (name: string) => `type filter hook ${name} priority raw; policy accept;`
  const definition = block(`table ${NOTRACK_TABLE}`, [
    ...block('chain prerouting', [
      hook('prerouting'),
      rule(`udp dport ${port} ${header} daddr ${local} notrack`, 'VXLAN, from other nodes'),
    ]),
    ...block('chain output', [
      hook('output'),
      rule(`udp dport ${port} ${header} saddr ${local} notrack`, 'VXLAN, to other nodes'),
    ]),
  ]).join('\n')
  return [{ definition }]
}
