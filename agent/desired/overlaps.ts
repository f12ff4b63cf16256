import { type Cidr, overlaps } from '../../ipam/address.ts'
import { isOnLinkNetwork, type Uplink, type WayFacts } from './way.ts'

/** A pod CIDR that cannot be in force, since this node is on a network that has addresses of it. */
export interface Overlap {
  /** Whose pod CIDR it is. */
  readonly node: string
  readonly cidr: Cidr
  readonly network: Uplink
  readonly problem: string
}

const NODES_NAMED = 3

/** This node's own. Pure. */
export function ownOverlaps({ self, uplinks }: WayFacts): Overlap[] {
  return self.podCidrs.flatMap((cidr) => {
    const network = uplinks.find((one) => isOnLinkNetwork(one) && overlaps(one.cidr, cidr))
    const problem = `the pod CIDR ${cidr.text} of ${self.name} overlaps ${network && textOf(network)}; give the pods others`
    return network ? [{ node: self.name, cidr, network, problem }] : []
  })
}

/** A network that a peer's pods cannot have the addresses of: one that this node is on, or a single address that it has a route to. Pure. */
export function networkOver(cidr: Cidr, { uplinks }: WayFacts): Uplink | undefined {
  return uplinks.find((one) => (isOnLinkNetwork(one) || isHost(one.cidr)) && overlaps(one.cidr, cidr))
}

/** In words; a network that takes the addresses of several nodes' pods is told once, for it is what has to go. Pure. */
export function overlapProblems(found: readonly Overlap[]): string[] {
  const byNetwork = Map.groupBy(found, ({ network }) => textOf(network))
  return [...byNetwork].flatMap(([text, all]) => {
    const nodes = [...new Set(all.map(({ node }) => node))]
    if (nodes.length === 1) return all.map(({ problem }) => problem)
    const more = nodes.length > NODES_NAMED ? ` and ${nodes.length - NODES_NAMED} more` : ''
    const named = nodes.slice(0, NODES_NAMED).join(', ') + more
    return `${text} of this node, overlaps the pod CIDRs of ${named}; remove ${all[0]?.network.link} if it is a leftover, or give the pods of the cluster others`
  })
}

function textOf({ cidr, link }: Uplink): string {
  return `${cidr.text}, the network on ${link}`
}

function isHost({ prefixLength, family }: Cidr): boolean {
  return prefixLength === (family === 4 ? 32 : 128)
}
