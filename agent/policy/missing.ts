import { ADDRESS_BITS, familyOf } from '../../ipam/address.ts'
import { DIRECTIONS, type Direction, type Labels, type Policy } from '../cluster/policy.ts'
import type { Decision, Verdict } from './evaluate.ts'
import type { Flow } from './flow.ts'
import { type Identities, type Identity, type KnownPod, namedAddresses } from './identities.ts'

/** What would let a flow through that one direction drops. */
export type Missing = { readonly direction: Direction } & (
  | {
      readonly kind: 'rule'
      readonly policy: Policy
      /** Where the rule belongs, in front of what stands there; the others move on: `spec.ingress[2]`. */
      readonly path: string
      /** As it is written in the policy. */
      readonly rule: object
    }
  /** Nothing isolates the pod, but all is closed: a whole policy. */
  | { readonly kind: 'policy'; readonly object: object }
  /** The rule that denies it denies everything, as it cannot be done: to be corrected. */
  | { readonly kind: 'correction'; readonly policy: Policy; readonly path: string }
  /** It is not known whose policies decide. */
  | { readonly kind: 'nothing' }
)

/** RFC 1123. */
const NAME_MAX_LENGTH = 253

/** Controllers write these into the labels of pods, and others with each roll-out. */
const PASSING_LABELS: ReadonlySet<string> = new Set([
  'apps.kubernetes.io/pod-index',
  'batch.kubernetes.io/controller-uid',
  'controller-revision-hash',
  'controller-uid',
  'pod-template-generation',
  'pod-template-hash',
  'statefulset.kubernetes.io/pod-name',
])

/** For each direction that drops the flow the least that is missing: from or to this one peer, on this one port. */
export function missingFor(flow: Flow, verdict: Verdict, identities: Identities): Missing[] {
  const others = { ingress: identities.at(flow.source), egress: identities.at(flow.destination) }
  return DIRECTIONS.filter((direction) => !verdict[direction].isAllowed).map((direction) => ({
    direction,
    ...missing(direction, verdict[direction], flow, others[direction]),
  }))
}

function missing(direction: Direction, { because, pod }: Decision, flow: Flow, other: Identity) {
  if (because.kind === 'rule') {
    const { policy, rule } = because
    // A ClusterNetworkPolicy's rule without peers is one that failed closed: they cannot be left out.
    if (rule.peers === undefined) return { kind: 'correction' as const, policy, path: rule.path }
    return { kind: 'rule' as const, policy, path: rule.path, rule: acceptRule(direction, flow, other) }
  }
  if (!pod) return { kind: 'nothing' as const }
  const rule = networkPolicyRule(direction, flow, other, pod)
  const policy = because.kind === 'isolated' ? narrowest(because.policies) : undefined
  if (!policy) return { kind: 'policy' as const, object: newPolicy(direction, pod, rule) }
  return { kind: 'rule' as const, policy, path: `spec.${direction}[${policy[direction]?.length ?? 0}]`, rule }
}

/** The one that is about the fewest pods; none where each is about all of a namespace: a rule there would open them all. */
function narrowest(policies: readonly Policy[]): Policy | undefined {
  const width = ({ subject }: Policy) => subject.pods.requirements.length
  return policies.filter((policy) => width(policy) > 0).toSorted((a, b) => width(b) - width(a))[0]
}

function networkPolicyRule(direction: Direction, { protocol, destinationPort }: Flow, other: Identity, pod: KnownPod) {
  const ports = protocol === 'ICMP' ? {} : { ports: [{ protocol, port: destinationPort }] }
  return { [direction === 'ingress' ? 'from' : 'to']: [networkPolicyPeer(other, pod)], ...ports }
}

function networkPolicyPeer(other: Identity, { pod }: KnownPod) {
  const [peer] = other.pods
  if (!peer) return { ipBlock: { cidr: cidrOf(other) } }
  const { namespace, labels } = peer.pod
  const isNeighbour = namespace === pod.namespace
  return { ...(isNeighbour ? {} : { namespaceSelector: namespaceNamed(namespace) }), podSelector: podsLike(labels) }
}

/** For a ClusterNetworkPolicy. What its rules drop that comes in is from pods: they can name nobody else. */
function acceptRule(direction: Direction, { protocol, destinationPort }: Flow, other: Identity) {
  const protocols =
    protocol === 'ICMP'
      ? {}
      : { protocols: [{ [protocol.toLowerCase()]: { destinationPort: { number: destinationPort } } }] }
  const [peer] = other.pods
  const pods = peer && {
    namespaceSelector: namespaceNamed(peer.pod.namespace),
    podSelector: podsLike(peer.pod.labels),
  }
  const peers = [pods ? { pods } : { networks: [cidrOf(other)] }]
  return { action: 'Accept', [direction === 'ingress' ? 'from' : 'to']: peers, ...protocols }
}

function newPolicy(direction: Direction, { pod }: KnownPod, rule: object): object {
  const type = direction === 'ingress' ? 'Ingress' : 'Egress'
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: {
      namespace: pod.namespace,
      name: `${direction}-${pod.name}`.slice(0, NAME_MAX_LENGTH).replace(/[-.]+$/, ''),
    },
    spec: { podSelector: podsLike(pod.labels), policyTypes: [type], [direction]: [rule] },
  }
}

/** Of a node the address by which people know it: one on a tunnel is meant along with it. */
function cidrOf({ address, nodes }: Identity): string {
  const named = nodes[0] ? namedAddresses(nodes[0]) : []
  const ofFamily = named.find((one) => familyOf(one) === familyOf(address))
  const known = named.includes(address) ? address : (ofFamily ?? named[0] ?? address)
  return `${known}/${ADDRESS_BITS[familyOf(known)]}`
}

function namespaceNamed(name: string) {
  return { matchLabels: { 'kubernetes.io/metadata.name': name } }
}

function podsLike(labels: Labels) {
  const lasting = Object.entries(labels).filter(([key]) => !PASSING_LABELS.has(key))
  return lasting.length === 0 ? {} : { matchLabels: Object.fromEntries(lasting) }
}
