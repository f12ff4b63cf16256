import t from 'tap'
import type { ApiObject } from '../../../../agent/cluster/kubernetes/answers.ts'
import {
  CLUSTER_NETWORK_POLICY_KIND,
  NAMESPACE_KIND,
  NETWORK_POLICY_KIND,
  podKind,
} from '../../../../agent/cluster/kubernetes/kinds.ts'
import { withoutCondition } from '../../../../agent/cluster/kubernetes/network-condition.ts'
import { agentPodOf, unreadyOf } from '../../../../agent/cluster/kubernetes/readiness.ts'
import { parseNodeObject } from '../../../../agent/cluster/node-object.ts'

/*
 * Whatever is in the place of a field: it is told of that object, and no other one suffers for it.
 */
const SELECTOR = { matchLabels: { app: 'web' }, matchExpressions: [{ key: 'app', operator: 'In', values: ['web'] }] }
const POD = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: 'web',
    namespace: 'shop',
    uid: 'u',
    labels: { 'app.kubernetes.io/name': 'bramble' },
    annotations: {},
  },
  spec: {
    nodeName: 'pi-2',
    hostNetwork: true,
    containers: [{ name: 'agent', ports: [{ name: 'http', containerPort: 80, protocol: 'TCP' }] }],
    initContainers: [{ restartPolicy: 'Always', ports: [] }],
  },
  status: {
    phase: 'Running',
    podIPs: [{ ip: '10.42.0.2' }],
    podIP: '10.42.0.2',
    conditions: [{ type: 'Ready', status: 'False', lastTransitionTime: '2026-08-01T10:00:00Z' }],
    containerStatuses: [{ state: { waiting: { reason: 'CrashLoopBackOff' } } }],
  },
}
const NODE = {
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'pi-2', annotations: {}, labels: { disk: 'sd' } },
  spec: { podCIDRs: ['10.42.0.0/24'], podCIDR: '10.42.0.0/24' },
  status: {
    addresses: [{ type: 'InternalIP', address: '192.0.2.1' }],
    conditions: [
      { type: 'Ready', status: 'False', message: 'PLEG' },
      { type: 'NetworkUnavailable', status: 'False', reason: 'BrambleIsUp' },
    ],
  },
}
const NAMESPACE = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels: { team: 'a' } } }
const POLICY = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'web', namespace: 'shop', annotations: { 'bramble.dev/mode': 'audit' } },
  spec: {
    podSelector: SELECTOR,
    policyTypes: ['Ingress', 'Egress'],
    ingress: [
      { from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }, { podSelector: SELECTOR }], ports: [] },
    ],
    egress: [{ to: [{ namespaceSelector: SELECTOR }], ports: [{ protocol: 'TCP', port: 80, endPort: 90 }] }],
  },
}
const CLUSTER_POLICY = {
  apiVersion: 'policy.networking.k8s.io/v1alpha2',
  kind: 'ClusterNetworkPolicy',
  metadata: { name: 'all' },
  spec: {
    tier: 'Admin',
    priority: 1,
    subject: { pods: { namespaceSelector: SELECTOR, podSelector: SELECTOR } },
    ingress: [
      {
        name: 'a',
        action: 'Accept',
        from: [{ namespaces: SELECTOR }],
        protocols: [{ tcp: { destinationPort: { number: 80 } } }],
      },
    ],
    egress: [{ action: 'Deny', to: [{ networks: ['192.0.2.0/24'] }, { nodes: SELECTOR }] }],
  },
}
const JUNK = [
  null,
  0,
  -1,
  1e308,
  '',
  'x'.repeat(300),
  true,
  [],
  [null],
  [[]],
  [{}],
  ['x'],
  {},
  { a: null },
  { length: 1e9 },
]

type Path = readonly (string | number)[]

function pathsOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [path]
  return [path, ...Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...path, key]))]
}

function changedAt(object: object, path: Path, value: unknown): ApiObject {
  const copy = structuredClone(object)
  // biome-ignore lint/suspicious/noExplicitAny: any field of any object
  const parent = path.slice(0, -1).reduce((inner: any, key) => inner[key], copy)
  parent[path.at(-1) ?? ''] = value
  return copy as ApiObject
}

/** Errors that are told as a problem of the object; any other one would end the list of all objects. */
const TOLD = ['ObjectError', 'NodeObjectError', 'PolicyObjectError']

const parsers: readonly [name: string, object: object, parse: (object: ApiObject) => unknown][] = [
  ['Pod', POD, podKind().parse],
  ['Node', NODE, parseNodeObject],
  ['Namespace', NAMESPACE, NAMESPACE_KIND.parse],
  ['NetworkPolicy', POLICY, NETWORK_POLICY_KIND.parse],
  ['ClusterNetworkPolicy', CLUSTER_POLICY, CLUSTER_NETWORK_POLICY_KIND.parse],
]
const readers: readonly [name: string, object: object, read: (object: ApiObject) => unknown][] = [
  ['Pod', POD, podKind().essence],
  ['Namespace', NAMESPACE, NAMESPACE_KIND.essence],
  ['NetworkPolicy', POLICY, NETWORK_POLICY_KIND.essence],
  ['ClusterNetworkPolicy', CLUSTER_POLICY, CLUSTER_NETWORK_POLICY_KIND.essence],
  ["the agent's Pod", POD, agentPodOf],
  ['the condition Ready', NODE, unreadyOf],
  ['our own condition', NODE, withoutCondition],
]

/** What comes of any junk in the place of any field, but the name, without which it is no object. */
function errorsOf(object: object, work: (object: ApiObject) => unknown): Map<string, string> {
  const errors = new Map<string, string>()
  for (const path of pathsOf(object))
    if (path.length > 1)
      for (const junk of JUNK)
        try {
          work(changedAt(object, path, junk))
        } catch (error) {
          const { name, message } = error as Error
          errors.set(`${path.join('.')} = ${JSON.stringify(junk)}`, `${name}: ${message}`)
        }
  return errors
}

for (const [name, object, read] of readers)
  t.test(`${name} is looked at, whatever is in it`, async (t) => {
    read(object as ApiObject)
    t.same(errorsOf(object, read), new Map())
  })

for (const [name, object, parse] of parsers)
  t.test(`${name}: what is wrong is told of the object`, async (t) => {
    parse(object as ApiObject)
    const errors = errorsOf(object, parse)
    t.ok(errors.size > 0, 'some of it is wrong')
    t.same(
      [...errors].filter(([, error]) => !TOLD.some((told) => error.startsWith(`${told}: `))),
      [],
    )
  })
