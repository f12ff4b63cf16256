import { createHash } from 'node:crypto'
import { parseClusterNetworkPolicyObject } from '../../../agent/cluster/cluster-network-policy-object.ts'
import { parseNamespaceObject } from '../../../agent/cluster/namespace-object.ts'
import { parseNetworkPolicyObject } from '../../../agent/cluster/network-policy-object.ts'
import { parseNodeObject } from '../../../agent/cluster/node-object.ts'
import { parsePodObject } from '../../../agent/cluster/pod-object.ts'
import { policyId } from '../../../agent/cluster/policy.ts'
import { NO_WORKLOADS, type Workloads } from '../../../agent/cluster/workloads.ts'
import { LINK_GROUP } from '../../../agent/ownership.ts'
import type { LocalPod, PolicyInput } from '../../../agent/policy/input.ts'
import type { Packet } from '../ruleset/tracer.ts'
import { keyOf, objectsOf, type RawObject } from './clusters.ts'
import type { Site, Wired } from './oracle.ts'
import type { RawCluster, RawFlow } from './oracle-objects.ts'

/** What the agent makes of objects as they are written: the way from the oracle's world into the agent's. */

/**
 * @param before what it was before: as sources do, what has not changed stays the same object
 * @param objectsBefore from which that came
 */
export function inputOf(
  cluster: RawCluster,
  site: Site,
  before?: PolicyInput,
  objectsBefore?: RawCluster,
): PolicyInput {
  const known = new Map((objectsBefore ? objectsOf(objectsBefore) : []).map((one) => [keyOf(one), one]))
  const isSame = (one: RawObject) => known.get(keyOf(one)) === one
  const read = <T>(one: RawObject, key: string, was: ReadonlyMap<string, T> | undefined, parse: (one: unknown) => T) =>
    [key, (isSame(one) && was?.get(key)) || parse(one)] as const
  const { pods, namespaces, policies } = before?.workloads ?? NO_WORKLOADS
  const workloads: Workloads = {
    pods: new Map(
      cluster.pods.map((one) => read(one, `${one.metadata.namespace}/${one.metadata.name}`, pods, parsePodObject)),
    ),
    namespaces: new Map(
      cluster.namespaces.map((one) => read(one, one.metadata.name, namespaces, parseNamespaceObject)),
    ),
    policies: new Map(
      cluster.policies.map((one) => read(one, policyId({ ...one.metadata, kind: one.kind }), policies, parsed)),
    ),
  }
  return {
    workloads,
    nodes: new Map(cluster.nodes.map((one) => read(one, one.metadata.name, before?.nodes, parseNodeObject))),
    nodeName: site.nodeName,
    localPods: new Map(site.wired.map((wired) => [linkOf(wired), localPod(wired)])),
    mode: site.mode,
    failsOpen: site.failsOpen,
    tunnelPorts: { vxlan: 4789, wireguard: 51820 },
  }
}

function parsed(one: unknown) {
  const parse = (one as RawObject).kind === 'NetworkPolicy' ? parseNetworkPolicyObject : parseClusterNetworkPolicyObject
  return parse(one).policy
}

/** The node's end of a pod's link. */
export const linkOf = ({ pod }: Pick<Wired, 'pod'>) => `brm${digest(pod).slice(0, 12)}`

/** The pod's end. */
const macOf = ({ pod }: Pick<Wired, 'pod'>) => `02:${digest(pod).slice(12, 22).match(/../g)?.join(':')}`

const digest = (pod: string | undefined) => createHash('sha256').update(`${pod}`).digest('hex')

const localPod = (wired: Wired): LocalPod => ({
  pod: wired.pod,
  uid: wired.uid,
  link: linkOf(wired),
  mac: macOf(wired),
  addresses: wired.addresses,
  isUnknown: wired.isUnknown,
})

/** The first packet of the flow, as it comes from a pod of the node, or from elsewhere. */
export function packetOf({ protocol, destinationPort, ...addresses }: RawFlow, { wired }: Site): Packet {
  const sender = wired.find((one) => one.addresses.includes(addresses.source))
  return {
    ...addresses,
    protocol: protocol.toLowerCase(),
    ...(protocol !== 'ICMP' && { destinationPort }),
    iifname: sender ? linkOf(sender) : 'eth0',
    iifgroup: sender ? LINK_GROUP.pods : 0,
    etherSource: sender ? macOf(sender) : '02:42:00:00:00:01',
    ctState: 'new',
  }
}
