import { keyOf, type RawObject } from './clusters.ts'
import type { RawClusterNetworkPolicy, RawFlow, RawNamespace, RawNetworkPolicy, RawPod } from './oracle-objects.ts'

/**
 * The shape of the public suites of NetworkPolicy (Kubernetes' test/e2e/network/netpol, Cyclonus): namespaces x, y, z with
 * pods a, b, c that serve 80 and 81 on TCP, UDP and SCTP; objects come, change and go, and it is asked who reaches whom.
 */
export interface MatrixCase {
  readonly name: string
  readonly steps: readonly MatrixStep[]
}

export interface MatrixStep {
  /** Made, or changed where there is one of that name. */
  readonly put?: readonly RawObject[]
  /** As keyOf says. */
  readonly remove?: readonly string[]
  /** Spelled out by hand; by probe (`80/TCP`), `*` for all others. Of what is not here the oracle alone knows. */
  readonly expected?: Readonly<Record<string, Reach>>
}

/**
 * Who reaches whom, line by line: `- * > x/a` is closed, `+ x/b > x/a` open; the last one that fits is true, and what none
 * fits is open. A pod always reaches itself.
 */
export type Reach = readonly string[]

export interface Probe {
  readonly protocol: Exclude<RawFlow['protocol'], 'ICMP'>
  readonly port: number
}

export const PROBES: readonly Probe[] = (['TCP', 'UDP', 'SCTP'] as const).flatMap((protocol) =>
  [80, 81].map((port) => ({ protocol, port })),
)

export const probeName = ({ protocol, port }: Probe) => `${port}/${protocol}`

/** What holds for a probe. @returns undefined where nobody wrote it down */
export function reachOf({ expected }: MatrixStep, probe: Probe): Reach | undefined {
  return expected?.[probeName(probe)] ?? expected?.['*']
}

/** @param from @param to `x/a` */
export function isOpen(reach: Reach, from: string, to: string): boolean {
  if (from === to) return true
  const fitting = reach.filter((line) => {
    const [, source = '', destination = ''] = /^[-+] (\S+) > (\S+)$/.exec(line) ?? []
    if (destination === '') throw new Error(`"${line}" is no line of a reach`)
    return fits(source, from) && fits(destination, to)
  })
  return fitting.at(-1)?.startsWith('+') ?? true
}

function fits(pattern: string, pod: string): boolean {
  return pattern === '*' || pattern === pod || (pattern.endsWith('/*') && pod.startsWith(pattern.slice(0, -1)))
}

// ---- what there is at the beginning

const NAMESPACES = ['x', 'y', 'z']
export const PODS = NAMESPACES.flatMap((namespace) => ['a', 'b', 'c'].map((name) => `${namespace}/${name}`))

export const BASE: readonly RawObject[] = [...NAMESPACES.map((name) => namespace(name)), ...PODS.map((key) => pod(key))]

export function namespace(name: string, labels: Readonly<Record<string, string>> = {}): RawNamespace {
  const own = { ns: name, 'kubernetes.io/metadata.name': name }
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { ...own, ...labels } } }
}

/**
 * Where it is, and with which addresses, is for whoever starts it to say (see `placed`).
 * @param labels beside `pod: a`
 * @param uid another one for a pod that is made again
 */
export function pod(key: string, labels: Readonly<Record<string, string>> = {}, uid = `uid-${key}`): RawPod {
  const [namespace = '', name = ''] = key.split('/')
  const ports = PROBES.map(({ protocol, port }) => ({
    name: `serve-${port}-${protocol.toLowerCase()}`,
    protocol,
    containerPort: port,
  }))
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, uid, labels: { pod: name, ...labels } },
    spec: { containers: [{ name: 'serve', ports }] },
  }
}

export const podKey = (key: string) => `Pod ${key}`

export interface Place {
  readonly nodeName: string
  readonly addresses: readonly string[]
}

/** The pod as the API shows it when it runs there. */
export function placed(pod: RawPod, { nodeName, addresses }: Place): RawPod {
  return {
    ...pod,
    spec: { ...pod.spec, nodeName },
    status: { phase: 'Running', podIPs: addresses.map((ip) => ({ ip })) },
  }
}

/** What there is after a step. */
export function after(objects: readonly RawObject[], { put = [], remove = [] }: MatrixStep): RawObject[] {
  const gone = new Set([...put.map(keyOf), ...remove])
  return [...objects.filter((one) => !gone.has(keyOf(one))), ...put]
}

// ---- policies

type Spec = RawNetworkPolicy['spec']

/** As the suites write them: `policyTypes` says which of both there are. */
export function policy(
  namespace: string,
  name: string,
  podSelector: Spec['podSelector'],
  { ingress, egress }: Pick<Spec, 'ingress' | 'egress'>,
  annotations: Readonly<Record<string, string>> = {},
): RawNetworkPolicy {
  const policyTypes = [...(ingress ? ['Ingress'] : []), ...(egress ? ['Egress'] : [])]
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { namespace, name, annotations },
    spec: { podSelector, policyTypes, ...(ingress && { ingress }), ...(egress && { egress }) },
  }
}

export function clusterPolicy(name: string, spec: RawClusterNetworkPolicy['spec']): RawClusterNetworkPolicy {
  return {
    apiVersion: 'policy.networking.k8s.io/v1alpha2',
    kind: 'ClusterNetworkPolicy',
    metadata: { name },
    spec,
  }
}

export const labelled = (key: string, value: string) => ({ matchLabels: { [key]: value } })

export const labelledAny = (key: string, operator: 'In' | 'NotIn', ...values: string[]) => ({
  matchExpressions: [{ key, operator, values }],
})
