import { CUT_CONNECTION_MARK, LINK_GROUP } from '../ownership.ts'
import type { TunnelPorts } from '../policy/input.ts'
import { TOTALS } from './ends.ts'
import { marked } from './names.ts'
import { type SetUse, useOf } from './selection.ts'
import type { PolicyChain, PolicyCounter } from './table.ts'

/** What every packet meets, whatever policies there are. */

export const BASE_COUNTERS: readonly PolicyCounter[] = [
  ...(['tunnelled', 'spoofed', 'cut'] as const).map((effect) => ({ name: effect, effect })),
  ...TOTALS,
]

/** All nodes of the cluster, by all their addresses. */
export const NODE_SETS: readonly SetUse[] = ([4, 6] as const).map((family) =>
  useOf({ kind: 'nodes', nodes: { text: '', requirements: [] } }, family),
)

/** IPPROTO_IPIP, IPPROTO_IPV6, IPPROTO_GRE in include/uapi/linux/in.h */
const TUNNEL_PROTOCOLS = [4, 41, 47]

export function baseChains(tunnelPorts: TunnelPorts): PolicyChain[] {
  return [
    { name: 'from-pods', hook: 'type filter hook prerouting priority raw; policy accept;', rules: FROM_PODS },
    { name: 'tunnels', rules: TUNNELS },
    { name: 'input', hook: 'type filter hook input priority filter - 5; policy accept;', rules: input(tunnelPorts) },
    {
      name: 'forward',
      hook: 'type filter hook forward priority filter - 5; policy accept;',
      rules: forward(tunnelPorts),
    },
    { name: 'output', hook: 'type filter hook output priority filter - 5; policy accept;', rules: output(tunnelPorts) },
  ]
}

/** Two marks, as everywhere: another program may have a link of such a name. */
const LINK_GROUPS = `{ ${Object.values(LINK_GROUP)
  .map((group) => `0x${group.toString(16)}`)
  .join(', ')} }`

/**
 * A pod sends from its own addresses and its own MAC, and nothing that a node takes for a packet of another node.
 * Before conntrack, so that what is forged leaves no trace.
 */
const FROM_PODS = [
  marked('iifname != "brm*" return', 'from elsewhere'),
  // No tunnel goes over TCP, and most packets do: they meet nothing else here.
  marked('meta l4proto tcp iifname . ether saddr . ip saddr @links4 return', 'its own address'),
  marked('meta l4proto tcp iifname . ether saddr . ip6 saddr @links6 return', 'its own address'),
  marked(`iifgroup != ${LINK_GROUPS} return`, 'from elsewhere'),
  marked(`meta l4proto { ${TUNNEL_PROTOCOLS.join(', ')} } jump tunnels`, 'IP in IP, GRE'),
  marked('iifname . ether saddr . ip saddr @links4 return', 'its own address'),
  marked('iifname . ether saddr . ip6 saddr @links6 return', 'its own address'),
  // Is an address free (RFC 4862, 5.4.2)? The kernel forwards none of these. A pod's own link-local address is among
  // links6; of any other, a neighbour solicitation would put an entry into the node's table, which has room for 1,024.
  marked('ip6 saddr :: return', 'on the link alone'),
  marked('counter name "spoofed" drop', 'forged'),
]

const FROM_POD = `iifname "brm*" iifgroup ${LINK_GROUPS}`

/**
 * Behind the translation of Services: anybody who may make one can let it lead to a port of a node. A node unpacks
 * VXLAN whoever sends it to whichever of its addresses, those among them that the cluster does not know (a second
 * network, IPv6 of the moment); so no pod sends any. WireGuard asks for a key, and VPNs in pods use it as well: to
 * nodes alone, and answers pass, since its port is one from which programs call.
 */
function toVxlan({ vxlan }: TunnelPorts): string {
  return marked(`udp dport ${vxlan} ${FROM_POD} counter name "tunnelled" drop`, 'VXLAN')
}

function toWireguard({ wireguard }: TunnelPorts): string {
  return marked(`udp dport ${wireguard} ct state new,untracked ${FROM_POD} jump tunnels`, 'WireGuard')
}

/** To nodes alone: what a pod tunnels to somebody outside, as a VPN's client does, is its own affair. */
const TUNNELS = [
  ...NODE_SETS.map(({ set, family }) =>
    marked(`${family === 4 ? 'ip' : 'ip6'} daddr @${set} counter name "tunnelled" drop`, 'to a node'),
  ),
  marked('fib daddr type local counter name "tunnelled" drop', 'to this node, by whatever address'),
]

const CUT_BIT = `ct mark & 0x${CUT_CONNECTION_MARK.toString(16)}`

const CUT = marked(`${CUT_BIT} != 0 counter name "cut" drop`, 'a policy was tightened')

/** Who calls, and whom: asked about the first packet of a connection alone. */
const WHO_CALLS = [
  marked('ip saddr . ip daddr @self4 accept', 'a pod and itself'),
  marked('ip6 saddr . ip6 daddr @self6 accept', 'a pod and itself'),
  marked('ip daddr vmap @ingress4', 'what comes in'),
  marked('ip6 daddr vmap @ingress6', 'what comes in'),
  marked('ip saddr vmap @egress4', 'what goes out'),
  marked('ip6 saddr vmap @egress6', 'what goes out'),
]

/** Pods and their node always reach each other, but for tunnels. */
function input(ports: TunnelPorts): string[] {
  return [marked('iifname != "brm*" return', 'from elsewhere'), toVxlan(ports), toWireguard(ports)]
}

/**
 * This hook sees neither what a node says to its pods nor what they say to it. What is established goes on, unless it was
 * cut: nearly all packets end at the second rule, which is why it asks for both.
 */
function forward(ports: TunnelPorts): string[] {
  return [
    toVxlan(ports),
    marked(`ct state established,related ${CUT_BIT} == 0 accept`, 'replies, and errors about what was allowed'),
    CUT,
    toWireguard(ports),
    ...WHO_CALLS,
  ]
}

/**
 * Where kube-proxy uses IPVS, what goes to a Service comes in to the node, and goes out again to a pod: never by the
 * forward hook. It is known by its source, which is not the node's own. Of each packet that a tunnel sends this is asked,
 * and a set tells faster than the routes.
 */
function output({ vxlan }: TunnelPorts): string[] {
  return [
    marked(`ct state established,related ${CUT_BIT} == 0 return`, 'replies, and what has begun'),
    marked('ip saddr @here4 return', 'the node itself'),
    marked('ip6 saddr @here6 return', 'the node itself'),
    marked('fib saddr type local return', 'the node itself, by another address'),
    marked(`udp dport ${vxlan} counter name "tunnelled" drop`, 'VXLAN'),
    CUT,
    ...WHO_CALLS,
  ]
}
