import { isIn, rangeOf } from './oracle-addresses.ts'
import {
  hasNamedPort,
  isAudit,
  isSelector,
  labelsOf,
  meansAddress,
  namespaceLabels,
  nodeAddresses,
  podsAt,
  selects,
  tunnelAddresses,
} from './oracle-identities.ts'
import type {
  Direction,
  Judgement,
  RawCluster,
  RawClusterPeer,
  RawClusterProtocol,
  RawClusterRule,
  RawClusterSubject,
  RawFlow,
  RawPod,
} from './oracle-objects.ts'

/** ClusterNetworkPolicy, policy.networking.k8s.io/v1alpha2. */

/** @returns undefined where the next tier is asked */
export function clusterTier(
  tier: string,
  direction: Direction,
  cluster: RawCluster,
  pod: RawPod,
  flow: RawFlow,
): Judgement | undefined {
  const policies = cluster.policies
    .filter((policy) => policy.kind === 'ClusterNetworkPolicy')
    .filter(({ spec }) => spec.tier === tier && isClusterPod(spec.subject, cluster, pod))
    .toSorted((a, b) => a.spec.priority - b.spec.priority || (a.metadata.name < b.metadata.name ? -1 : 1))
  for (const policy of policies) {
    const rules =
      direction === 'ingress'
        ? (policy.spec.ingress ?? []).map(({ from, ...rule }) => ({ ...rule, peers: from }))
        : (policy.spec.egress ?? []).map(({ to, ...rule }) => ({ ...rule, peers: to }))
    for (const [index, rule] of rules.entries()) {
      const why = `ClusterNetworkPolicy ${policy.metadata.name} rule ${index}`
      if (cannotBeDone(rule)) {
        // "For "Accept" rules, "fail closed" means: "treat the rule as matching no traffic". For "Deny" and "Pass" rules,
        // "fail closed" means: "treat the rule as a 'Deny all' rule"."
        if (rule.action === 'Accept' || isAudit(policy)) continue
        return { passes: false, why: `${why}, which cannot be done` }
      }
      if (!matchesClusterRule(rule, direction, cluster, pod, flow)) continue
      if (rule.action === 'Accept') return { passes: true, why }
      if (rule.action === 'Pass') return undefined
      if (!isAudit(policy)) return { passes: false, why }
    }
  }
  return undefined
}

type ClusterRule = RawClusterRule & { readonly peers: readonly RawClusterPeer[] }

function cannotBeDone({ peers, protocols = [] }: ClusterRule): boolean {
  // "networks/nodes/domainNames peer cannot be set with namedPorts since there are no namedPorts for" them
  const hasNamedPort = protocols.some(({ destinationNamedPort }) => destinationNamedPort !== undefined)
  const hasAddresses = peers.some(({ networks, nodes }) => networks !== undefined || nodes !== undefined)
  return (
    peers.length === 0 ||
    peers.some(isUndoablePeer) ||
    protocols.some(isUndoableProtocol) ||
    (hasNamedPort && hasAddresses)
  )
}

/** "Exactly one of the fields must be set"; of domain names we know nothing. */
function isUndoablePeer(peer: RawClusterPeer): boolean {
  const { namespaces, pods, nodes, networks, ...unknown } = peer
  const known = [namespaces, pods, nodes, networks].filter((field) => field !== undefined)
  if (known.length !== 1 || Object.keys(unknown).length > 0) return true
  const selectors = [namespaces, pods?.namespaceSelector, pods?.podSelector, nodes]
  if (selectors.some((selector) => selector !== undefined && !isSelector(selector))) return true
  return networks?.some((text) => rangeOf(text) === undefined) ?? false
}

function isUndoableProtocol(protocol: RawClusterProtocol): boolean {
  const { tcp, udp, sctp, destinationNamedPort, ...unknown } = protocol
  const known = [tcp, udp, sctp, destinationNamedPort].filter((field) => field !== undefined)
  return known.length !== 1 || Object.keys(unknown).length > 0
}

function matchesClusterRule(
  { peers, protocols }: ClusterRule,
  direction: Direction,
  cluster: RawCluster,
  subject: RawPod,
  flow: RawFlow,
): boolean {
  return peers.some((peer) => {
    const other = direction === 'ingress' ? flow.source : flow.destination
    const isAddress = isClusterAddress(peer, cluster, other)
    const isPeer = (pod: RawPod) => isAddress || isClusterPod(peer, cluster, pod)
    if (!isAddress && !podsAt(cluster, other).some(isPeer)) return false
    if (protocols === undefined) return true
    const named = direction === 'ingress' ? [subject] : podsAt(cluster, other).filter(isPeer)
    return protocols.some((protocol) => matchesClusterProtocol(protocol, named, flow))
  })
}

/** "Note that host-networked pods are not included." */
function isClusterPod({ namespaces, pods }: RawClusterSubject, cluster: RawCluster, pod: RawPod): boolean {
  if (pod.spec.hostNetwork === true) return false
  const labels = namespaceLabels(cluster, pod)
  if (namespaces !== undefined) return selects(namespaces, labels)
  return pods !== undefined && selects(pods.namespaceSelector, labels) && selects(pods.podSelector, labelsOf(pod))
}

function isClusterAddress({ nodes, networks }: RawClusterPeer, cluster: RawCluster, address: string): boolean {
  if (networks !== undefined) return meansAddress(cluster, address, (one) => networks.some((cidr) => isIn(cidr, one)))
  if (nodes === undefined) return false
  return cluster.nodes
    .filter((node) => selects(nodes, labelsOf(node)))
    .some((node) => [...nodeAddresses(node), ...tunnelAddresses(node)].includes(address))
}

function matchesClusterProtocol(protocol: RawClusterProtocol, pods: readonly RawPod[], flow: RawFlow): boolean {
  const { destinationNamedPort: name } = protocol
  if (name !== undefined) return pods.some((pod) => hasNamedPort(pod, name, flow.protocol, flow.destinationPort))
  const numbered = { TCP: protocol.tcp, UDP: protocol.udp, SCTP: protocol.sctp, ICMP: undefined }[flow.protocol]
  if (numbered === undefined) return false
  const { destinationPort } = numbered
  if (destinationPort === undefined) return true
  const { number, range } = destinationPort
  if (number !== undefined) return number === flow.destinationPort
  return range !== undefined && range.start <= flow.destinationPort && flow.destinationPort <= range.end
}
