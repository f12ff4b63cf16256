import type { ClusterNode, ClusterView } from '../../agent/cluster/view.ts'
import type { LocalFacts, NetworkSettings } from '../../agent/desired/network.ts'
import type { Link } from '../../agent/kernel/links.ts'
import { type KernelListing, localFacts } from '../../agent/nodes/facts.ts'
import { parseCidr } from '../../ipam/address.ts'

/** A cluster as it may be at one moment, and what that means for the kernel of one node of it. */
export interface ClusterState {
  /** A sentence. */
  readonly name: string
  readonly nodes: readonly ClusterNode[]
  /**
   * All that is ours in the kernel of the node, as `ip`, `bridge`, `wg` and `nft` say it (see kernel-text.ts); one line
   * for each object, in any order.
   */
  readonly kernel: string
  /** What `status` says; absent: all is well. */
  readonly problems?: readonly string[]
  /** The node's kernel must have the modules ipip and ip_gre. */
  readonly needsIpip?: boolean
}

/** The node that we look at, which is `pi-1` always, and the states of its cluster. */
export interface StateList {
  readonly title: string
  /** Of the node itself. */
  readonly podCidrs: readonly string[]
  /** On its one link, with the lengths of the networks. */
  readonly addresses: readonly string[]
  readonly gateways: readonly string[]
  readonly settings: NetworkSettings
  readonly states: readonly ClusterState[]
}

/** As an agent has them that was told nothing. */
export const DEFAULTS: NetworkSettings = {
  routing: 'auto',
  isEncrypted: false,
  vxlanVni: 4096,
  vxlanPort: 4789,
  serviceCidrs: [],
  clusterCidrs: [],
  masquerade: { isOn: true, exempt: [] },
}

export const SELF_NAME = 'pi-1'
export const UPLINK = 'eth0'
const UPLINK_INDEX = 2
const MTU_BYTES = 1500

const known = new Map<string, ClusterNode>()

/** As sources have it, a node that did not change is the same object in all views. */
export function viewOf(nodes: readonly ClusterNode[]): ClusterView {
  const same = (node: ClusterNode) => {
    const text = JSON.stringify({ ...node, podCidrs: node.podCidrs.map((cidr) => cidr.text) })
    return known.get(text) ?? known.set(text, node).get(text) ?? node
  }
  return { nodes: new Map(nodes.map((node) => [node.name, same(node)])) }
}

/** What the node's agent finds out of itself in a cluster like this one. Pure. */
export function factsIn({ podCidrs, addresses, gateways }: StateList, view: ClusterView): LocalFacts {
  const link: Link = {
    index: UPLINK_INDEX,
    name: UPLINK,
    kind: 'veth',
    mtuBytes: MTU_BYTES,
    mac: '02:00:00:00:00:01',
    isUp: true,
    isRunning: true,
    isPointToPoint: false,
    group: 0,
    alias: '',
    peerIndex: 0,
    altNames: [],
    parameters: Buffer.alloc(0),
  }
  const route = { table: 254, metric: 0, protocol: 2, linkIndex: UPLINK_INDEX } // main; the kernel's own
  const listing: KernelListing = {
    links: [link],
    addresses: addresses.map((text) => {
      const [address = '', length] = text.split('/')
      return { address, prefixLength: Number(length), linkIndex: UPLINK_INDEX }
    }),
    routes: [
      ...addresses.map((text) => ({ ...route, destination: networkOf(text) })),
      ...gateways.map((gateway) => ({ ...route, destination: gateway.includes(':') ? '::/0' : '0.0.0.0/0', gateway })),
    ],
  }
  const self = { name: SELF_NAME, podCidrs: podCidrs.map(parseCidr), addresses: [], tellsAddresses: false }
  return localFacts(listing, view, self, new Map())
}

/** `192.168.1.1/24` is in `192.168.1.0/24`; lengths of whole groups only. */
function networkOf(text: string): string {
  return text.includes(':') ? text.replace(/::\w+\//, '::/') : text.replace(/\.\d+\//, '.0/')
}

/** The names of all that are not the same in both. */
export function changedBetween(
  before: ReadonlyMap<string, ClusterNode>,
  after: ReadonlyMap<string, ClusterNode>,
): string[] {
  const names = new Set([...before.keys(), ...after.keys()])
  return [...names].filter((name) => before.get(name) !== after.get(name))
}
