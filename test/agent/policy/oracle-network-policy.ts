import { isIn, isStrictlyInside, rangeOf } from './oracle-addresses.ts'
import { hasNamedPort, labelsOf, meansAddress, namespaceLabels, podsAt, selects } from './oracle-identities.ts'
import type { Direction, RawCluster, RawFlow, RawNetworkPolicy, RawPeer, RawPod, RawPort } from './oracle-objects.ts'

/** NetworkPolicy, networking/v1. */

/**
 * "If this field is not specified, it will default based on the existence of ingress or egress rules; policies that
 * contain an egress section are assumed to affect egress, and all policies (whether or not they contain an ingress
 * section) are assumed to affect ingress." The API server counts rules: an empty section of egress is none.
 */
export function policyTypes({ spec }: RawNetworkPolicy): Direction[] {
  if (spec.policyTypes !== undefined && spec.policyTypes.length > 0)
    return spec.policyTypes.map((type) => (type === 'Egress' ? 'egress' : 'ingress'))
  return (spec.egress ?? []).length > 0 ? ['ingress', 'egress'] : ['ingress']
}

interface NetworkRule {
  readonly peers: readonly RawPeer[]
  readonly ports: readonly RawPort[]
}

export function networkRules({ spec }: RawNetworkPolicy, direction: Direction): NetworkRule[] {
  return direction === 'ingress'
    ? (spec.ingress ?? []).map(({ from, ports }) => ({ peers: from ?? [], ports: ports ?? [] }))
    : (spec.egress ?? []).map(({ to, ports }) => ({ peers: to ?? [], ports: ports ?? [] }))
}

/** "Traffic must match both ports and from." An empty or missing list of either matches all. */
export function matchesNetworkRule(
  { peers, ports }: NetworkRule,
  direction: Direction,
  policy: RawNetworkPolicy,
  cluster: RawCluster,
  subject: RawPod,
  flow: RawFlow,
): boolean {
  const candidates: (RawPeer | 'everybody')[] = peers.length > 0 ? [...peers] : ['everybody']
  return candidates.some((peer) => {
    const isPeer = (pod: RawPod) => peer === 'everybody' || isNetworkPeerPod(peer, policy, cluster, pod)
    const other = direction === 'ingress' ? flow.source : flow.destination
    const isAddress = peer === 'everybody' || isInBlock(peer, cluster, other)
    const isMet = isAddress || podsAt(cluster, other).some(isPeer)
    if (!isMet) return false
    if (ports.length === 0) return true
    // The pods whose named ports count: on ingress the subject; on egress those at the destination that the peer means.
    const named = direction === 'ingress' ? [subject] : podsAt(cluster, other).filter((pod) => isAddress || isPeer(pod))
    return ports.some((port) => matchesNetworkPort(port, named, flow))
  })
}

/** A peer has an ipBlock alone, or selectors; "NamespaceSelector and PodSelector: both must match", each may stand alone. */
function isNetworkPeerPod(peer: RawPeer, policy: RawNetworkPolicy, cluster: RawCluster, pod: RawPod): boolean {
  if (peer.ipBlock !== undefined) return false
  if (peer.namespaceSelector === undefined && peer.podSelector === undefined) return false
  const isInNamespace =
    peer.namespaceSelector === undefined
      ? pod.metadata.namespace === policy.metadata.namespace
      : selects(peer.namespaceSelector, namespaceLabels(cluster, pod))
  return isInNamespace && (peer.podSelector === undefined || selects(peer.podSelector, labelsOf(pod)))
}

function isInBlock(peer: RawPeer, cluster: RawCluster, address: string): boolean {
  if (peer.ipBlock === undefined || peer.podSelector !== undefined || peer.namespaceSelector !== undefined) return false
  const { cidr, except = [] } = peer.ipBlock
  // "Except values will be rejected if they are outside the cidr range": cannot be done, and so matches nobody.
  if (rangeOf(cidr) === undefined || !except.every((hole) => isStrictlyInside(hole, cidr))) return false
  return meansAddress(cluster, address, (one) => isIn(cidr, one) && !except.some((hole) => isIn(hole, one)))
}

function matchesNetworkPort({ protocol = 'TCP', port, endPort }: RawPort, pods: readonly RawPod[], flow: RawFlow) {
  if (protocol !== flow.protocol || flow.protocol === 'ICMP') return false
  if (typeof port === 'string')
    return endPort === undefined && pods.some((pod) => hasNamedPort(pod, port, protocol, flow.destinationPort))
  if (port === undefined) return endPort === undefined
  return port <= flow.destinationPort && flow.destinationPort <= (endPort ?? port)
}
