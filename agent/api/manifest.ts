import { formatNodeObject } from '../cluster/node-object.ts'
import { listKernel, ownAddresses } from '../nodes/facts.ts'
import type { NodeNetwork } from '../nodes/network.ts'
import type { Options } from '../options.ts'
import type { PodNetwork } from '../pods/network.ts'

/** This node as a Node of Kubernetes, as the folder of --cluster-dir wants it. */
export type NodeManifest = ReturnType<typeof formatNodeObject>

/**
 * What the others have to be told of this node. Of its addresses what the cluster says counts only as long as the node
 * has them: one that has moved is asked for its manifest to put that right.
 * @throws KernelError
 */
export async function nodeManifest(
  { netlink, leases }: Pick<PodNetwork, 'netlink' | 'leases'>,
  nodes: NodeNetwork,
  { nodeName, nodeIps }: Options,
): Promise<NodeManifest> {
  const listing = await listKernel(netlink)
  const told = nodes.view.nodes.get(nodeName)?.addresses ?? []
  const isHere = (one: string) => listing.addresses.some(({ address }) => address === one)
  const [addresses = []] = [nodeIps, told.every(isHere) ? told : [], ownAddresses(listing)].filter(
    (one) => one.length > 0,
  )
  return formatNodeObject({
    name: nodeName,
    podCidrs: leases.pools.map(({ cidr }) => cidr),
    addresses,
    announcement: await nodes.announcement(),
  })
}
