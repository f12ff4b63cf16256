import { familyOf, numberOf } from '../../ipam/address.ts'
import { merge } from '../cluster/address-ranges.ts'
import type { AddressRange, Labels, Policy, Selector } from '../cluster/policy.ts'
import type { ClusterNode } from '../cluster/view.ts'
import { addressesOfNode, type KnownPod } from './identities.ts'
import { isWithin } from './ranges.ts'

/** Pods that no policy tells apart: whatever one of them may, all of them may. */
export interface PodClass {
  readonly pods: readonly [KnownPod, ...KnownPod[]]
}

/** A pod with the addresses that it is known by. */
export type PlacedPod = KnownPod & { readonly addresses: readonly string[] }

/**
 * Ten thousand pods are some hundred classes, as policies look at few labels: each pod is held against what is looked at,
 * and never against each policy. Pure.
 * @param isByNamespace pods of two namespaces are never of one class, for people to tell them apart
 */
export function podClasses(
  pods: Iterable<PlacedPod>,
  policies: Iterable<Policy>,
  { isByNamespace = false } = {},
): PodClass[] {
  const looks = looksOf(policies)
  const classes = new Map<string, [KnownPod, ...KnownPod[]]>()
  for (const placed of pods) {
    const { addresses: _, ...pod } = placed
    const key = keyOf(placed, looks, isByNamespace)
    const others = classes.get(key)
    if (others) others.push(pod)
    else classes.set(key, [pod])
  }
  return Array.from(classes.values(), (some) => ({ pods: some }))
}

/** The same of nodes. Pure. */
export function nodeClasses(
  nodes: Iterable<ClusterNode>,
  policies: Iterable<Policy>,
): [ClusterNode, ...ClusterNode[]][] {
  const looks = looksOf(policies)
  const classes = new Map<string, [ClusterNode, ...ClusterNode[]]>()
  for (const node of nodes) {
    const key = JSON.stringify([picked(node.labels ?? {}, looks.nodeLabels), placesOf(addressesOfNode(node), looks)])
    const others = classes.get(key)
    if (others) others.push(node)
    else classes.set(key, [node])
  }
  return [...classes.values()]
}

/** What policies look at. */
interface Looks {
  readonly namespaces: ReadonlySet<string>
  readonly namespaceLabels: ReadonlySet<string>
  readonly podLabels: ReadonlySet<string>
  readonly nodeLabels: ReadonlySet<string>
  readonly portNames: ReadonlySet<string>
  /** Where ranges begin, or others end; in order. */
  readonly bounds: Readonly<Record<4 | 6, readonly bigint[]>>
  readonly ranges: readonly AddressRange[]
}

function looksOf(policies: Iterable<Policy>): Looks {
  const namespaces = new Set<string>()
  const namespaceLabels = new Set<string>()
  const podLabels = new Set<string>()
  const nodeLabels = new Set<string>()
  const portNames = new Set<string>()
  const bounds = { 4: new Set<bigint>(), 6: new Set<bigint>() }
  const ranges = new Set<AddressRange>()
  const labels = (found: Set<string>, { requirements }: Selector) => {
    for (const { key } of requirements) found.add(key)
  }
  for (const { subject, ingress = [], egress = [] } of policies) {
    const rules = [...ingress, ...egress]
    const peers = rules.flatMap(({ peers = [] }) => peers)
    const selections = peers.flatMap((peer) => (peer.kind === 'pods' ? [peer.selection] : []))
    for (const selection of [subject, ...selections]) {
      if (typeof selection.namespaces === 'string') namespaces.add(selection.namespaces)
      else labels(namespaceLabels, selection.namespaces)
      labels(podLabels, selection.pods)
    }
    for (const { ports = [] } of rules) for (const port of ports) if ('name' in port) portNames.add(port.name)
    for (const peer of peers) {
      if (peer.kind === 'nodes') labels(nodeLabels, peer.nodes)
      if (peer.kind === 'ranges')
        for (const range of peer.ranges) {
          ranges.add(range)
          bounds[range.family].add(range.first).add(range.last + 1n)
        }
    }
  }
  const inOrder = (numbers: ReadonlySet<bigint>) => [...numbers].sort((a, b) => (a < b ? -1 : 1))
  return {
    namespaces,
    namespaceLabels,
    podLabels,
    nodeLabels,
    portNames,
    bounds: { 4: inOrder(bounds[4]), 6: inOrder(bounds[6]) },
    ranges: merge([...ranges]),
  }
}

function keyOf({ pod, namespace, addresses }: PlacedPod, looks: Looks, isByNamespace: boolean): string {
  const labels = namespace?.labels ?? { 'kubernetes.io/metadata.name': pod.namespace }
  return JSON.stringify([
    isByNamespace || looks.namespaces.has(pod.namespace) ? pod.namespace : '',
    picked(labels, looks.namespaceLabels),
    picked(pod.labels, looks.podLabels),
    pod.ports
      .filter(({ name }) => looks.portNames.has(name))
      .map(({ name, protocol, number }) => `${name} ${protocol} ${number}`),
    placesOf(addresses, looks),
  ])
}

/** Of each address the family, and between which bounds it is; what is in no range is in one place. */
function placesOf(addresses: readonly string[], { bounds, ranges }: Looks): number[][] {
  return addresses.map((address) => {
    const [family, number] = [familyOf(address), numberOf(address)]
    return [family, isWithin(ranges, family, number) ? indexOf(bounds[family], number) : 0]
  })
}

function picked(labels: Labels, keys: ReadonlySet<string>): string[][] {
  return Object.entries(labels)
    .filter(([key]) => keys.has(key))
    .sort(([a], [b]) => (a < b ? -1 : 1))
}

/** How many of the bounds are at or before the number. */
function indexOf(bounds: readonly bigint[], number: bigint): number {
  let [low, high] = [0, bounds.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((bounds[middle] ?? 0n) <= number) low = middle + 1
    else high = middle
  }
  return low
}
