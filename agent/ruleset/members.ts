import { type Family, familyOf, numberOf } from '../../ipam/address.ts'
import { type ClusterNode, tunnelAddress } from '../cluster/view.ts'
import type { ClusterNamespace, ClusterPod } from '../cluster/workloads.ts'
import { isWithin, rangeText } from '../policy/ranges.ts'
import { selects } from '../policy/selects.ts'
import { Elements } from './elements.ts'
import type { Selection } from './selection.ts'

/** IPPROTO_* in include/uapi/linux/in.h. As numbers: nft reads their names from a file that a machine may not have. */
const PROTOCOL_NUMBERS = { TCP: 6, UDP: 17, SCTP: 132 } as const

/** A pod with the addresses that it really has. */
export interface PodIdentity {
  readonly pod: ClusterPod
  readonly addresses: readonly string[]
}

/** Who is selected, as elements of sets: those of each pod and node by themselves, so that they come and go one by one. */
export class Members {
  readonly selection: Selection
  readonly elements: Readonly<Record<Family, Elements>> = { 4: new Elements(), 6: new Elements() }

  constructor(selection: Selection) {
    this.selection = selection
    if (selection.kind === 'cidrs')
      for (const range of selection.ranges) this.elements[range.family].add(rangeText(range))
  }

  /** The name of the only namespace whose pods can be meant; undefined: see meansNamespace. */
  get namespace(): string | undefined {
    const namespaces = this.#pods?.namespaces
    return typeof namespaces === 'string' ? namespaces : undefined
  }

  get isOfPods(): boolean {
    return this.#pods !== undefined
  }

  get isOfNodes(): boolean {
    return this.selection.kind === 'nodes' || this.selection.kind === 'tunnels'
  }

  /** @param namespace undefined when nothing is known of it but its name, which then is its only label */
  meansNamespace(name: string, namespace: ClusterNamespace | undefined): boolean {
    const namespaces = this.#pods?.namespaces
    if (namespaces === undefined) return false
    if (typeof namespaces === 'string') return namespaces === name
    return selects(namespaces, namespace?.labels ?? { 'kubernetes.io/metadata.name': name })
  }

  /** Of a namespace that is meant. */
  addPod(identity: PodIdentity): void {
    this.#eachOfPod(identity, (family, element) => this.elements[family].add(element))
  }

  deletePod(identity: PodIdentity): void {
    this.#eachOfPod(identity, (family, element) => this.elements[family].delete(element))
  }

  addNode(node: ClusterNode): void {
    for (const address of this.#ofNode(node)) this.elements[familyOf(address)].add(address)
  }

  deleteNode(node: ClusterNode): void {
    for (const address of this.#ofNode(node)) this.elements[familyOf(address)].delete(address)
  }

  get #pods() {
    return 'selection' in this.selection ? this.selection.selection : undefined
  }

  #eachOfPod({ pod, addresses }: PodIdentity, act: (family: Family, element: string) => void): void {
    const { selection } = this
    if (!('selection' in selection) || addresses.length === 0 || !selects(selection.selection.pods, pod.labels)) return
    for (const address of addresses) {
      if (selection.kind === 'pods') act(familyOf(address), address)
      else
        for (const { name, protocol, number } of pod.ports)
          if (name === selection.name && (selection.protocol === undefined || selection.protocol === protocol))
            act(familyOf(address), `${address} . ${PROTOCOL_NUMBERS[protocol]} . ${number}`)
    }
  }

  #ofNode(node: ClusterNode): readonly string[] {
    const { selection } = this
    const own = [...node.addresses, ...(node.otherAddresses ?? [])]
    const tunnels = node.podCidrs.map(tunnelAddress)
    if (selection.kind === 'nodes') return selects(selection.nodes, node.labels ?? {}) ? [...own, ...tunnels] : []
    if (selection.kind !== 'tunnels') return []
    const isMeant = own.some((address) => isWithin(selection.ranges, familyOf(address), numberOf(address)))
    return isMeant ? tunnels : []
  }
}
