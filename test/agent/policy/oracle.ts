import { isIn } from './oracle-addresses.ts'
import { clusterTier } from './oracle-cluster-policy.ts'
import {
  idOf,
  ipsOf,
  isAudit,
  isSomebody,
  labelsOf,
  nodeAddresses,
  selects,
  tunnelAddresses,
} from './oracle-identities.ts'
import { matchesNetworkRule, networkRules, policyTypes } from './oracle-network-policy.ts'
import type { Direction, Judgement, RawCluster, RawFlow, RawPod } from './oracle-objects.ts'

/**
 * What policies mean, said a second time: straight from the texts of the two APIs (k8s.io/api/networking/v1/types.go,
 * network-policy-api/apis/v1alpha2/clusternetworkpolicy_types.go) and from docs/decisions/0013, about the objects as they
 * are written. It knows nothing of the agent, is slow and obvious, and shares no thought with what it judges.
 */

/** One node, and what its agent knows by itself. */
export interface Site {
  readonly nodeName: string
  readonly wired: readonly Wired[]
  readonly mode: 'default' | 'always' | 'never'
  readonly failsOpen: boolean
}

export interface Wired {
  /** `namespace/name`; undefined for a container of nobody's. */
  readonly pod: string | undefined
  /** As the runtime told it: a pod of the same name with another one is another pod. */
  readonly uid?: string
  readonly addresses: readonly string[]
  readonly isUnknown: boolean
}

/** What this node's kernel does with the flow. */
export function judge(cluster: RawCluster, site: Site, flow: RawFlow): Judgement {
  if (flow.source === flow.destination) return { passes: true, why: 'a pod reaches itself' }
  if (!isForwarded(cluster, site, flow)) return { passes: true, why: 'a pod and its own node reach each other' }

  const sender = site.wired.find(({ addresses }) => addresses.includes(flow.source))
  const receiver = site.wired.find(({ addresses }) => addresses.includes(flow.destination))
  const out = sender && judgeDirection('egress', cluster, site, sender, flow)
  if (out && !out.passes) return out
  const into = receiver && judgeDirection('ingress', cluster, site, receiver, flow)
  if (into && !into.passes) return into
  return { passes: true, why: [out?.why, into?.why].filter((why) => why !== undefined).join('; ') }
}

/** What a node says itself, or what is said to it, its kernel does not forward. */
export function isForwarded({ nodes }: RawCluster, { nodeName }: Site, flow: RawFlow): boolean {
  const own = nodes.find(({ metadata }) => metadata.name === nodeName)
  return !own || ![...nodeAddresses(own), ...tunnelAddresses(own)].some((one) => isEither(one, flow))
}

/** What becomes of the flow on its whole way: on the sender's node and on the receiver's. */
export function judgeWay(cluster: RawCluster, flow: RawFlow, mode: Site['mode'] = 'default'): Judgement {
  const judgements = sitesOf(cluster, mode).map((site) => judge(cluster, site, flow))
  // A packet between a pod and its own node is on no other node.
  return judgements.find(({ passes }) => !passes) ?? judgements[0] ?? { passes: true, why: 'nobody is in between' }
}

function mayHave({ spec: { nodeName = '' } }: RawPod, address: string, { nodes }: RawCluster, site: Site): boolean {
  if (site.wired.some(({ addresses }) => addresses.includes(address))) return false
  const holders = nodes.filter(({ spec }) => spec.podCIDRs.some((cidr) => isIn(cidr, address)))
  const names = holders.map(({ metadata }) => metadata.name)
  if (names.includes(site.nodeName)) return false
  return names.length === 0 || nodeName === '' || names.includes(nodeName)
}

/** The same for all flows. */
const sites = new WeakMap<RawCluster, Map<Site['mode'], readonly Site[]>>()

function sitesOf(cluster: RawCluster, mode: Site['mode']): readonly Site[] {
  const known = sites.get(cluster) ?? new Map<Site['mode'], readonly Site[]>()
  sites.set(cluster, known)
  const all =
    known.get(mode) ??
    cluster.nodes.map(({ metadata: { name } }): Site => {
      return { nodeName: name, wired: wiredAsTold(cluster, name), mode, failsOpen: false }
    })
  known.set(mode, all)
  return all
}

/** What the agent of a node has wired, where the API is right about everything. */
export function wiredAsTold(cluster: RawCluster, nodeName: string): Wired[] {
  return cluster.pods
    .filter((pod) => pod.spec.nodeName === nodeName && isSomebody(pod))
    .map((pod) => ({ pod: idOf(pod), addresses: ipsOf(pod), isUnknown: false }))
}

function judgeDirection(
  direction: Direction,
  cluster: RawCluster,
  site: Site,
  subject: Wired,
  flow: RawFlow,
): Judgement {
  const say = (passes: boolean, why: string) => ({ passes, why: `${direction}: ${why}` })
  if (site.mode === 'never') return say(true, 'the mode is never')
  if (subject.pod === undefined) return say(true, 'no policy is about it')
  const pod = podOf(subject, cluster)
  if (pod === undefined) return say(site.failsOpen, `${subject.pod} is not known`)
  const seen = asSeenFrom(cluster, site)

  const admin = clusterTier('Admin', direction, seen, pod, flow)
  if (admin) return say(admin.passes, admin.why)

  const policies = cluster.policies.filter((policy) => policy.kind === 'NetworkPolicy')
  const about = policies.filter(
    (policy) =>
      policy.metadata.namespace === pod.metadata.namespace &&
      policyTypes(policy).includes(direction) &&
      selects(policy.spec.podSelector, labelsOf(pod)) &&
      pod.spec.hostNetwork !== true,
  )
  for (const policy of about)
    for (const [index, rule] of networkRules(policy, direction).entries())
      if (matchesNetworkRule(rule, direction, policy, seen, pod, flow))
        return say(true, `NetworkPolicy ${idOf(policy)} rule ${index}`)
  const isolating = about.find((policy) => !isAudit(policy))
  if (isolating) return say(false, `NetworkPolicy ${idOf(isolating)}`)

  const baseline = clusterTier('Baseline', direction, seen, pod, flow)
  if (baseline) return say(baseline.passes, baseline.why)
  return say(site.mode !== 'always', `no policy says anything, the mode is ${site.mode}`)
}

/**
 * "A pod of this node has the address that this node's agent gave it, not what the API says": one that it gave none has none.
 * "An address that is leased on this node, or in its pod CIDRs, is of no pod of another node; one in another node's is of no
 * pod that says it is elsewhere, unless its own node's CIDRs hold it, too."
 */
function asSeenFrom(cluster: RawCluster, site: Site): RawCluster {
  const known = seen.get(site)
  if (known?.cluster === cluster) return known.asSeen
  const pods = cluster.pods.map((pod) => {
    const wired = site.wired.find((one) => podOf(one, cluster) === pod)
    if (wired) return withAddresses(pod, wired.addresses)
    if (pod.spec.nodeName === site.nodeName) return withAddresses(pod, [])
    return withAddresses(
      pod,
      ipsOf(pod).filter((address) => mayHave(pod, address, cluster, site)),
    )
  })
  const asSeen = { ...cluster, pods }
  seen.set(site, { cluster, asSeen })
  return asSeen
}

/** Of each site what was seen last: of one cluster there are many flows. */
const seen = new WeakMap<Site, { readonly cluster: RawCluster; readonly asSeen: RawCluster }>()

function withAddresses(pod: RawPod, addresses: readonly string[]): RawPod {
  return { ...pod, status: { ...pod.status, podIPs: addresses.map((ip) => ({ ip })) } }
}

/** @returns undefined where nothing is known of it */
function podOf({ pod: id, uid, isUnknown }: Wired, cluster: RawCluster): RawPod | undefined {
  const pod = cluster.pods.find((one) => idOf(one) === id)
  return isUnknown || (uid !== undefined && pod?.metadata.uid !== uid) ? undefined : pod
}

const isEither = (address: string, { source, destination }: RawFlow) => address === source || address === destination
