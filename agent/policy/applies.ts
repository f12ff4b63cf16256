import { familyOf, numberOf } from '../../ipam/address.ts'
import type { AddressRange, Direction, Peer, PortMatch, Rule } from '../cluster/policy.ts'
import type { ClusterPod } from '../cluster/workloads.ts'
import type { Flow } from './flow.ts'
import { type Identity, type KnownPod, namedAddresses } from './identities.ts'
import { isWithin } from './ranges.ts'
import { selects, selectsPod } from './selects.ts'

/**
 * Whether a rule about a pod is about a flow between this pod and another end.
 * @param direction the flow's, from the pod
 */
export function applies(
  { peers, ports }: Rule,
  direction: Direction,
  flow: Flow,
  { pod }: KnownPod,
  other: Identity,
): boolean {
  const fits = (peerPod: KnownPod | undefined) => {
    const destination = direction === 'ingress' ? pod : peerPod?.pod
    return (
      (peers?.some((peer) => isPeer(peer, other, peerPod)) ?? true) &&
      (ports?.some((port) => isPort(port, flow, destination)) ?? true)
    )
  }
  // Of two pods with one address the rule has to match either.
  return other.pods.length === 0 ? fits(undefined) : other.pods.some(fits)
}

function isPeer(peer: Peer, other: Identity, pod: KnownPod | undefined): boolean {
  switch (peer.kind) {
    case 'pods':
      return pod !== undefined && selectsPod(peer.selection, pod.pod, pod.namespace)
    case 'nodes':
      return other.nodes.some(({ labels = {} }) => selects(peer.nodes, labels))
    case 'ranges':
      return isInRanges(peer.ranges, other.address) || other.nodes.some((node) => isMeant(peer.ranges, node, other))
  }
}

/** A node's address on its tunnels stands for those at which it is known. */
function isMeant(ranges: readonly AddressRange[], node: Identity['nodes'][number], { address }: Identity): boolean {
  const named = namedAddresses(node)
  return !named.includes(address) && named.some((one) => isInRanges(ranges, one))
}

function isInRanges(ranges: readonly AddressRange[], address: string): boolean {
  return isWithin(ranges, familyOf(address), numberOf(address))
}

/** @param destination the pod whose ports have names; undefined: there is none */
function isPort(port: PortMatch, { protocol, destinationPort }: Flow, destination: ClusterPod | undefined): boolean {
  if (!('name' in port))
    return port.protocol === protocol && port.first <= destinationPort && destinationPort <= port.last
  const { name, protocol: only = protocol } = port
  return (
    only === protocol &&
    (destination?.ports ?? []).some(
      (one) => one.name === name && one.protocol === protocol && one.number === destinationPort,
    )
  )
}
