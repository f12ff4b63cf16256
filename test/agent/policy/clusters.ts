import fc from 'fast-check'
import type {
  RawCluster,
  RawClusterNetworkPolicy,
  RawClusterPeer,
  RawClusterProtocol,
  RawClusterSubject,
  RawContainer,
  RawNamespace,
  RawNetworkPolicy,
  RawNode,
  RawPeer,
  RawPod,
  RawSelector,
} from './oracle-objects.ts'

/**
 * Random clusters and policies, of few names, labels, addresses and ports: so that what is random meets often. Among them
 * are things that no API server would take, but that a folder of manifests can have.
 */

const NAMESPACES = ['x', 'y', 'z']
export const NODES = [1, 2, 3]
/** Up to so many addresses a node has in use, so that two pods have the same one now and then. */
const HOSTS_MAX = 4
const PORT_NAMES = ['http', 'dns']
export const PORT_NUMBERS = [53, 80, 81, 8080, 65_535]
const PROTOCOLS = ['TCP', 'UDP', 'SCTP']

export const oneOf = <T>(...values: T[]) => fc.constantFrom(...values)
/** Once in so many times. */
export const seldom = (oneIn: number) => fc.nat(oneIn - 1).map((number) => number === 0)

// ---- labels and selectors

const podLabels = fc.record({ app: oneOf('a', 'b'), tier: oneOf('1', '2') }, { requiredKeys: [] })
const namespaceLabels = fc.record({ team: oneOf('red', 'blue'), tier: oneOf('1', '2') }, { requiredKeys: [] })
const nodeLabels = fc.record({ zone: oneOf('a', 'b') }, { requiredKeys: [] })

function selectorOf(values: Readonly<Record<string, readonly string[]>>): fc.Arbitrary<RawSelector> {
  const keys = [...Object.keys(values), 'constructor'] // of every JavaScript object, and of no label
  const matchLabels = fc
    .constantFrom(...Object.entries(values).flatMap(([key, all]) => all.map((value) => [key, value] as const)))
    .map(([key, value]) => ({ [key]: value }))
  const expression = fc.constantFrom(...keys).chain((key) =>
    fc.oneof(
      fc.record({
        key: fc.constant(key),
        operator: oneOf('In', 'NotIn'),
        values: fc.uniqueArray(fc.constantFrom(...(Object.hasOwn(values, key) ? (values[key] ?? []) : []), 'other'), {
          minLength: 1,
          maxLength: 2,
        }),
      }),
      fc.record({ key: fc.constant(key), operator: oneOf('Exists', 'DoesNotExist') }),
    ),
  )
  return fc.oneof(
    { weight: 2, arbitrary: fc.constant({}) },
    { weight: 3, arbitrary: fc.record({ matchLabels }) },
    {
      weight: 2,
      arbitrary: fc.record(
        { matchLabels, matchExpressions: fc.array(expression, { minLength: 1, maxLength: 2 }) },
        { requiredKeys: ['matchExpressions'] },
      ),
    },
  )
}

const podSelector = selectorOf({ app: ['a', 'b'], tier: ['1', '2'] })
const namespaceSelector = selectorOf({ 'kubernetes.io/metadata.name': NAMESPACES, team: ['red', 'blue'] })
const nodeSelector = selectorOf({ zone: ['a', 'b'] })
const BROKEN_SELECTORS: RawSelector[] = [
  { matchExpressions: [{ key: 'app', operator: 'Equals', values: ['a'] }] },
  { matchExpressions: [{ key: 'app', operator: 'In', values: [] }] },
]

// ---- pods, namespaces, nodes

const containerPort = fc.record({
  name: oneOf(...PORT_NAMES),
  protocol: oneOf('TCP', ...PROTOCOLS),
  containerPort: oneOf(...PORT_NUMBERS),
})
const ports = fc.array(fc.oneof(containerPort, fc.record({ containerPort: oneOf(...PORT_NUMBERS) })), { maxLength: 3 })
const container: fc.Arbitrary<RawContainer> = fc.record({ name: fc.constant('main'), ports })
const initContainer: fc.Arbitrary<RawContainer> = fc
  .tuple(ports, fc.boolean())
  .map(([ports, stays]) => ({ name: 'init', ports, ...(stays && { restartPolicy: 'Always' }) }))

export const podAddresses = (node: number, host: number) => [`10.42.${node}.${host}`, `fd42:0:0:${node}::${host}`]

export const pod: fc.Arbitrary<RawPod> = fc
  .record({
    namespace: oneOf(...NAMESPACES),
    name: oneOf('a', 'b', 'c'),
    labels: podLabels,
    node: oneOf(...NODES.slice(0, 2)),
    /** Whose addresses it says it has. */
    other: oneOf(...NODES),
    isForged: seldom(8),
    hasNoPlace: seldom(16),
    host: fc.integer({ min: 2, max: HOSTS_MAX + 1 }),
    families: oneOf([0, 1], [0, 1], [0], [1], []),
    isHostNetwork: seldom(8),
    phase: oneOf('Running', 'Running', 'Running', 'Running', 'Pending', 'Succeeded', 'Failed'),
    containers: fc.array(container, { minLength: 1, maxLength: 2 }),
    initContainers: fc.array(initContainer, { maxLength: 1 }),
  })
  .map((picked) => {
    const { namespace, name, labels, node, other, isForged, hasNoPlace, host, families } = picked
    const { isHostNetwork, phase, containers, initContainers } = picked
    const own = isHostNetwork ? [`192.168.1.${node}`] : podAddresses(isForged ? other : node, host)
    const ips = isHostNetwork ? own : families.flatMap((family) => own[family] ?? [])
    return {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace, name, uid: `${namespace}-${name}-${host}`, labels },
      spec: {
        ...(!hasNoPlace && { nodeName: `node${node}` }),
        ...(isHostNetwork && { hostNetwork: true }),
        ...{ containers, initContainers },
      },
      status: { phase, podIPs: ips.map((ip) => ({ ip })) },
    }
  })

export const namespace: fc.Arbitrary<RawNamespace> = fc
  .record({ name: oneOf(...NAMESPACES), labels: namespaceLabels })
  .map((metadata) => ({ apiVersion: 'v1', kind: 'Namespace', metadata }))

export const node: fc.Arbitrary<RawNode> = fc
  .record({
    number: oneOf(...NODES),
    labels: nodeLabels,
    hasIpv6: fc.boolean(),
    hasExternal: fc.boolean(),
  })
  .map(({ number, labels, hasIpv6, hasExternal }) => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: `node${number}`, labels },
    spec: { podCIDRs: [`10.42.${number}.0/24`, `fd42:0:0:${number}::/64`] },
    status: {
      addresses: [
        { type: 'Hostname', address: `node${number}` },
        { type: 'InternalIP', address: `192.168.1.${number}` },
        ...(hasIpv6 ? [{ type: 'InternalIP', address: `fd00::${number}` }] : []),
        ...(hasExternal ? [{ type: 'ExternalIP', address: `203.0.113.${number}` }] : []),
      ],
    },
  }))

// ---- NetworkPolicy

/** Of pods, nodes and the world; some hold others, some begin or end at a pod. */
const CIDRS = [
  ['0.0.0.0/0', '10.42.0.0/16', '10.42.1.0/24', '10.42.1.2/31', '10.42.1.4/32', '192.168.1.0/30', '198.51.100.0/25'],
  ['::/0', 'fd42::/32', 'fd42:0:0:1::/64', 'fd42:0:0:1::2/127', 'fd42:0:0:1::4/128', 'fd00::/64', '2001:db8::/33'],
]
const BROKEN_CIDRS = ['10.42.0.0/33', 'fd42::/129', '10.42.0/16', '', 'example.org']

const cidr = fc.constantFrom(...CIDRS.flat())
const ipBlock = fc.oneof(
  { weight: 3, arbitrary: fc.record({ cidr }) },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom(...CIDRS)
      .chain(([all = '', ...inside]) =>
        fc.record({ cidr: fc.constant(all), except: fc.uniqueArray(fc.constantFrom(...inside), { maxLength: 3 }) }),
      ),
  },
)
/** Of another part, another family, or all of it. */
const wrongExcept = fc.record({ cidr, except: fc.tuple(fc.oneof(cidr, oneOf(...BROKEN_CIDRS))) })
const peer: fc.Arbitrary<RawPeer> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ podSelector }) },
  { weight: 5, arbitrary: fc.record({ namespaceSelector }) },
  { weight: 5, arbitrary: fc.record({ podSelector, namespaceSelector }) },
  { weight: 7, arbitrary: fc.record({ ipBlock }) },
  { weight: 1, arbitrary: fc.record({ ipBlock: wrongExcept }) },
  {
    weight: 1,
    arbitrary: fc.oneof(
      fc.constant({}),
      fc.record({ ipBlock, podSelector }),
      fc.record({ podSelector: oneOf(...BROKEN_SELECTORS) }),
      fc.record({ ipBlock: fc.record({ cidr: oneOf(...BROKEN_CIDRS) }) }),
    ),
  },
)
const protocol = oneOf(...PROTOCOLS)
const number = oneOf(...PORT_NUMBERS)
const namedPort = fc.record(
  { protocol: oneOf('TCP', ...PROTOCOLS), port: oneOf(...PORT_NAMES) },
  { requiredKeys: ['port'] },
)
const port = fc.oneof(
  { weight: 4, arbitrary: fc.record({ protocol, port: number }, { requiredKeys: ['port'] }) },
  { weight: 4, arbitrary: namedPort },
  { weight: 2, arbitrary: fc.record({ protocol }, { requiredKeys: [] }) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(protocol, number, number)
      .map(([protocol, a, b]) => ({ protocol, port: Math.min(a, b), endPort: Math.max(a, b) })),
  },
  {
    weight: 1,
    arbitrary: oneOf<{ protocol?: string; port?: number | string; endPort?: number }>(
      { port: 'http', endPort: 8080 },
      { port: 81, endPort: 80 },
      { endPort: 80 },
      { port: 70_000 },
      { protocol: 'ICMP' },
    ),
  },
)
const peers = fc.array(peer, { maxLength: 3 })
const portsOfRule = fc.array(port, { maxLength: 3 })
const ingressRules = fc.array(fc.record({ from: peers, ports: portsOfRule }, { requiredKeys: [] }), { maxLength: 3 })
const egressRules = fc.array(fc.record({ to: peers, ports: portsOfRule }, { requiredKeys: [] }), { maxLength: 3 })

const annotations = seldom(6).map((isAudit) => (isAudit ? { 'bramble.dev/mode': 'audit' } : {}))

export const networkPolicy: fc.Arbitrary<RawNetworkPolicy> = fc
  .record({
    namespace: oneOf(...NAMESPACES),
    name: oneOf('p', 'q', 'r'),
    annotations,
    spec: fc.record(
      {
        podSelector,
        policyTypes: oneOf(['Ingress'], ['Egress'], ['Ingress', 'Egress'], []),
        ingress: ingressRules,
        egress: egressRules,
      },
      { requiredKeys: ['podSelector'] },
    ),
  })
  .map(({ spec, ...metadata }) => ({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata, spec }))

// ---- ClusterNetworkPolicy

const namespacedPod = fc.record({ namespaceSelector, podSelector })
const subject: fc.Arbitrary<RawClusterSubject> = fc.oneof(
  fc.record({ namespaces: namespaceSelector }),
  fc.record({ pods: namespacedPod }),
)
const broken: fc.Arbitrary<RawClusterPeer> = fc.oneof(
  fc.constant({}),
  fc.record({ namespaces: oneOf(...BROKEN_SELECTORS) }),
  fc.record({ namespaces: namespaceSelector, pods: namespacedPod }),
)
const ingressPeer: fc.Arbitrary<RawClusterPeer> = fc.oneof(
  { weight: 12, arbitrary: subject },
  { weight: 1, arbitrary: broken },
)
const egressPeer: fc.Arbitrary<RawClusterPeer> = fc.oneof(
  { weight: 6, arbitrary: subject },
  { weight: 4, arbitrary: fc.record({ networks: fc.uniqueArray(cidr, { minLength: 1, maxLength: 3 }) }) },
  { weight: 3, arbitrary: fc.record({ nodes: nodeSelector }) },
  {
    weight: 1,
    arbitrary: fc.oneof(
      broken,
      fc.record({ networks: fc.tuple(cidr, oneOf(...BROKEN_CIDRS)) }),
      fc.constant({ domainNames: ['example.org'] }),
    ),
  },
)
const destinationPort = fc.oneof(
  fc.record({ number }),
  fc
    .tuple(number, number)
    .filter(([a, b]) => a !== b)
    .map(([a, b]) => ({ range: { start: Math.min(a, b), end: Math.max(a, b) } })),
)
const numbered = fc.record({ destinationPort })
const clusterProtocol: fc.Arbitrary<RawClusterProtocol> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ tcp: numbered }) },
  { weight: 2, arbitrary: fc.record({ udp: numbered }) },
  { weight: 2, arbitrary: fc.record({ sctp: numbered }) },
  { weight: 4, arbitrary: fc.record({ destinationNamedPort: oneOf(...PORT_NAMES) }) },
  { weight: 1, arbitrary: oneOf<object>({}, { icmp: {} }) },
)
const ruleParts = {
  name: oneOf('first', 'second'),
  action: oneOf('Accept', 'Deny', 'Pass'),
  protocols: fc.array(clusterProtocol, { minLength: 1, maxLength: 2 }),
}
const clusterIngress = fc.record(
  { ...ruleParts, from: fc.array(ingressPeer, { minLength: 1, maxLength: 2 }) },
  { requiredKeys: ['action', 'from'] },
)
const clusterEgress = fc.record(
  { ...ruleParts, to: fc.array(egressPeer, { minLength: 1, maxLength: 2 }) },
  { requiredKeys: ['action', 'to'] },
)

const clusterNetworkPolicy: fc.Arbitrary<RawClusterNetworkPolicy> = fc
  .record({
    name: oneOf('p', 'q', 'r', 's'),
    annotations,
    spec: fc.record(
      {
        tier: oneOf('Admin', 'Baseline'),
        priority: oneOf(0, 1, 1, 2, 1000),
        subject,
        ingress: fc.array(clusterIngress, { maxLength: 3 }),
        egress: fc.array(clusterEgress, { maxLength: 3 }),
      },
      { requiredKeys: ['tier', 'priority', 'subject'] },
    ),
  })
  .map(({ spec, ...metadata }) => ({
    apiVersion: 'policy.networking.k8s.io/v1alpha2',
    kind: 'ClusterNetworkPolicy',
    metadata,
    spec,
  }))

// ---- clusters

export type RawObject = RawPod | RawNamespace | RawNode | RawCluster['policies'][number]

export const keyOf = ({ kind, metadata }: RawObject) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`

const everything = fc.oneof<fc.Arbitrary<RawObject>[]>(
  pod,
  pod,
  namespace,
  node,
  networkPolicy,
  networkPolicy,
  clusterNetworkPolicy,
)

const anyCluster = fc
  .tuple(
    fc.uniqueArray(pod, { minLength: 2, maxLength: 6, selector: keyOf }),
    fc.uniqueArray(namespace, { minLength: 1, maxLength: 3, selector: keyOf }),
    fc.uniqueArray(node, { minLength: 2, maxLength: 3, selector: keyOf }),
    fc.uniqueArray(networkPolicy, { maxLength: 4, selector: keyOf }),
    fc.uniqueArray(clusterNetworkPolicy, { maxLength: 3, selector: keyOf }),
  )
  .map((kinds) => clusterOf(kinds.flat()))

/** Where all hangs on the names of ports: one namespace, rules with nothing else, all pods of a node with one address. */
const namingCluster = fc
  .tuple(
    fc.uniqueArray(
      pod.map((one) => ({
        ...one,
        metadata: { ...one.metadata, namespace: 'x' },
        status: { podIPs: podAddresses(one.spec.nodeName === 'node1' ? 1 : 2, 2).map((ip) => ({ ip })) },
      })),
      { minLength: 3, maxLength: 3, selector: keyOf },
    ),
    fc.record({ to: peers, ports: fc.array(namedPort, { minLength: 1, maxLength: 2 }) }, { requiredKeys: ['ports'] }),
    fc.record({ from: peers, ports: fc.array(namedPort, { minLength: 1, maxLength: 2 }) }, { requiredKeys: ['ports'] }),
    fc.uniqueArray(node, { minLength: 2, maxLength: 3, selector: keyOf }),
    fc.uniqueArray(clusterNetworkPolicy, { maxLength: 1 }),
  )
  .map(([pods, egress, ingress, nodes, policies]) => {
    const metadata = { namespace: 'x', name: 'names' }
    const spec = { podSelector: {}, ingress: [ingress], egress: [egress] }
    const names: RawNetworkPolicy = { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata, spec }
    return clusterOf([...pods, ...nodes, ...policies, names])
  })

export const cluster: fc.Arbitrary<RawCluster> = fc.oneof(
  { weight: 4, arbitrary: anyCluster },
  { weight: 1, arbitrary: namingCluster },
)

export function clusterOf(objects: readonly RawObject[]): RawCluster {
  return {
    pods: objects.filter((one) => one.kind === 'Pod'),
    namespaces: objects.filter((one) => one.kind === 'Namespace'),
    nodes: objects.filter((one) => one.kind === 'Node'),
    policies: objects.filter((one) => one.kind === 'NetworkPolicy' || one.kind === 'ClusterNetworkPolicy'),
  }
}

export const objectsOf = ({ pods, namespaces, nodes, policies }: RawCluster): RawObject[] => [
  ...pods,
  ...namespaces,
  ...nodes,
  ...policies,
]

/** An object that is made or changed, or one of those that are there, which goes. */
export type Edit = { readonly put: RawObject } | { readonly remove: number }

export const edit: fc.Arbitrary<Edit> = fc.oneof(
  { weight: 3, arbitrary: everything.map((put) => ({ put })) },
  { weight: 1, arbitrary: fc.nat(100).map((remove) => ({ remove })) },
)

export function edited(before: RawCluster, edit: Edit): RawCluster {
  const objects = objectsOf(before)
  if ('remove' in edit) return clusterOf(objects.toSpliced(edit.remove % Math.max(objects.length, 1), 1))
  const others = objects.filter((one) => keyOf(one) !== keyOf(edit.put))
  return clusterOf([...others, edit.put])
}
