import { parseClusterNetworkPolicyObject } from '../../../agent/cluster/cluster-network-policy-object.ts'
import { parseNetworkPolicyObject } from '../../../agent/cluster/network-policy-object.ts'
import { policyId } from '../../../agent/cluster/policy.ts'
import type { ClusterNode } from '../../../agent/cluster/view.ts'
import type { ClusterPod } from '../../../agent/cluster/workloads.ts'
import { Evaluator } from '../../../agent/policy/evaluate.ts'
import type { Flow } from '../../../agent/policy/flow.ts'
import type { LocalPod, PolicyInput } from '../../../agent/policy/input.ts'
import { parseCidr } from '../../../ipam/address.ts'

/**
 * Namespaces x and y with pods a and b, as the public suites of NetworkPolicy have them. Those called a are on pi-1, which
 * is the node that evaluates; those called b on pi-2. Each has IPv4 and IPv6 and names its port 80.
 */
export const ADDRESSES: Readonly<Record<string, readonly [string, string]>> = {
  'x/a': ['10.42.1.10', 'fd42:0:0:1::10'],
  'x/b': ['10.42.2.10', 'fd42:0:0:2::10'],
  'y/a': ['10.42.1.20', 'fd42:0:0:1::20'],
  'y/b': ['10.42.2.20', 'fd42:0:0:2::20'],
  'pi-1': ['192.168.1.1', 'fd00::1'],
  'pi-2': ['192.168.1.2', 'fd00::2'],
  world: ['203.0.113.9', '2001:db8::9'],
}

export function pod(key: string, change: Partial<ClusterPod> = {}): ClusterPod {
  const [namespace = '', name = ''] = key.split('/')
  return {
    namespace,
    name,
    uid: `uid of ${key}`,
    nodeName: name === 'a' ? 'pi-1' : 'pi-2',
    labels: { pod: name },
    addresses: ADDRESSES[key] ?? [],
    isHostNetwork: false,
    ports: [{ name: 'http', protocol: 'TCP', number: 80 }],
    ...change,
  }
}

export function local(key: string, change: Partial<LocalPod> = {}): LocalPod {
  return {
    pod: key,
    uid: `uid of ${key}`,
    link: `brm of ${key}`,
    mac: '66:00:00:00:00:01',
    addresses: ADDRESSES[key] ?? [],
    isUnknown: false,
    ...change,
  }
}

export function node(number: 1 | 2, change: Partial<ClusterNode> = {}): ClusterNode {
  return {
    name: `pi-${number}`,
    podCidrs: [parseCidr(`10.42.${number}.0/24`), parseCidr(`fd42:0:0:${number}::/64`)],
    addresses: ADDRESSES[`pi-${number}`] ?? [],
    labels: { node: `pi-${number}` },
    ...change,
  }
}

/** A NetworkPolicy of the namespace x, for its pod a unless it says otherwise. */
export function networkPolicy(spec: object, name = 'web') {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace: 'x' },
    spec: { podSelector: { matchLabels: { pod: 'a' } }, ...spec },
  }
}

/** A ClusterNetworkPolicy of the tier Admin for all pods, unless it says otherwise. */
export function clusterPolicy(spec: object, name = 'all') {
  return {
    apiVersion: 'policy.networking.k8s.io/v1alpha2',
    kind: 'ClusterNetworkPolicy',
    metadata: { name },
    spec: { tier: 'Admin', priority: 10, subject: { namespaces: {} }, ...spec },
  }
}

export function onAudit<T extends { readonly metadata: object }>(policy: T): T {
  return { ...policy, metadata: { ...policy.metadata, annotations: { 'bramble.dev/mode': 'audit' } } }
}

export interface Change {
  readonly pods?: readonly ClusterPod[]
  readonly local?: readonly LocalPod[]
  readonly nodes?: readonly ClusterNode[]
  readonly mode?: PolicyInput['mode']
  readonly failsOpen?: boolean
}

const PODS = ['x/a', 'x/b', 'y/a', 'y/b']

export function smallCluster(policies: readonly { readonly kind: string }[], change: Change = {}) {
  const parsed = policies.map((object) =>
    object.kind === 'NetworkPolicy' ? parseNetworkPolicyObject(object) : parseClusterNetworkPolicyObject(object),
  )
  const input: PolicyInput = {
    workloads: {
      pods: new Map(
        [...PODS.map((key) => pod(key)), ...(change.pods ?? [])].map((one) => [`${one.namespace}/${one.name}`, one]),
      ),
      namespaces: new Map(
        ['x', 'y'].map((name) => [name, { name, labels: { ns: name, 'kubernetes.io/metadata.name': name } }]),
      ),
      policies: new Map(parsed.map(({ policy }) => [policyId(policy), policy])),
    },
    nodes: new Map([node(1), node(2), ...(change.nodes ?? [])].map((one) => [one.name, one])),
    nodeName: 'pi-1',
    localPods: new Map([local('x/a'), local('y/a'), ...(change.local ?? [])].map((one) => [one.link, one])),
    mode: change.mode ?? 'default',
    failsOpen: change.failsOpen ?? false,
    tunnelPorts: { vxlan: 4789, wireguard: 51820 },
  }
  const evaluator = new Evaluator(input)
  const address = (end: string, family: 4 | 6) => ADDRESSES[end]?.[family === 4 ? 0 : 1] ?? end
  /** Ends by name or address; of an end with a name the address of the family. */
  const evaluate = (source: string, destination: string, port = '80/TCP', family: 4 | 6 = 4) => {
    const [number, protocol] = port.split('/')
    return evaluator.evaluate({
      source: address(source, family),
      destination: address(destination, family),
      protocol: protocol as Flow['protocol'],
      destinationPort: Number(number),
    })
  }
  return { input, problems: parsed.flatMap(({ problems }) => problems), evaluator, evaluate }
}

/** Of some sources, those that get through. */
export function whoReaches(
  cluster: ReturnType<typeof smallCluster>,
  destination: string,
  { port = '80/TCP', family = 4 as 4 | 6, sources = ['x/a', 'x/b', 'y/a', 'y/b', 'pi-1', 'pi-2', 'world'] } = {},
): string {
  return sources.filter((source) => cluster.evaluate(source, destination, port, family).isAllowed).join(' ')
}

/** Of some destinations, those that are reached. */
export function whoIsReached(
  cluster: ReturnType<typeof smallCluster>,
  source: string,
  { port = '80/TCP', family = 4 as 4 | 6, destinations = ['x/a', 'x/b', 'y/a', 'y/b', 'pi-1', 'pi-2', 'world'] } = {},
): string {
  return destinations.filter((destination) => cluster.evaluate(source, destination, port, family).isAllowed).join(' ')
}
