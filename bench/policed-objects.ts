import { nodeName, nodeObject } from './big-cluster.ts'

/**
 * A cluster in which every namespace is policed: pods, namespaces and policies as the API server has them. Pods are dealt
 * out to namespaces in turn, so that a node has pods of a hundred of them.
 */
export const NODES = 100
export const PODS_PER_NODE = 100
export const NAMESPACES = 200
export const POLICIES_PER_NAMESPACE = 5
/** Namespaces of a team let each other in. */
const TEAMS = 20
const APPS = 10

/** As the cluster takes them that are policed. */
export const EVERY_NAMESPACE = Array.from({ length: NAMESPACES }, (_, number) => number).join()

/** Where no policy selects anybody, and whose pods no policy means. */
export const FREE_NAMESPACE = 'free'

export type Tier = 'web' | 'data'

interface PodSettings {
  readonly namespace: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly nodeName?: string
  readonly addresses?: readonly string[]
  /** It is about to go. */
  readonly isEnding?: boolean
}

type RunningPod = PodSettings & Required<Pick<PodSettings, 'nodeName' | 'addresses'>>

export function namespaceName(number: number): string {
  return `ns-${number}`
}

export function namespaceObject(number: number) {
  const name = namespaceName(number)
  return { metadata: { name, labels: { 'kubernetes.io/metadata.name': name, team: `team-${number % TEAMS}` } } }
}

/** The namespace of a pod, by its number. */
export function namespaceOf(number: number): number {
  return number % NAMESPACES
}

/** Half of the apps of a namespace are web, which talk to the others. */
export function tierOf(number: number): Tier {
  return appOf(number) < APPS / 2 ? 'web' : 'data'
}

function appOf(number: number): number {
  return (number + Math.floor(number / NAMESPACES)) % APPS
}

/**
 * The pod of a number, as it runs.
 * @param generation how often it has been replaced: another name, another address
 */
export function podSettings(number: number, generation = 0, tier = tierOf(number)): RunningPod {
  const node = Math.floor(number / PODS_PER_NODE)
  const slot = 2 + (number % PODS_PER_NODE) + (generation % 2) * PODS_PER_NODE
  const [cidr4 = '', cidr6 = ''] = nodeObject(node).spec.podCIDRs
  return {
    namespace: namespaceName(namespaceOf(number)),
    name: `pod-${number}-${generation}`,
    labels: { app: `app-${appOf(number)}`, tier, 'pod-template-hash': `5d4c7b9f${appOf(number)}` },
    nodeName: nodeName(node),
    addresses: [cidr4.replace('.0/24', `.${slot}`), cidr6.replace('/64', slot.toString(16))],
  }
}

/** A Pod as the API server has it: some 4 KB, most of which nobody here reads. */
export function podObject({ namespace, name, labels, nodeName, addresses = [], isEnding = false }: PodSettings) {
  const ports = [{ name: 'http', containerPort: 8080, protocol: 'TCP' }]
  const isRunning = addresses.length > 0
  return {
    metadata: {
      namespace,
      name,
      labels,
      ...(isEnding && { deletionTimestamp: '2026-01-01T00:00:30Z', deletionGracePeriodSeconds: 30 }),
      ...OWNERS_WORDS,
    },
    spec: {
      ...(nodeName !== undefined && { nodeName }),
      containers: [{ name: 'main', ports, ...CONTAINER }],
      volumes: VOLUMES,
    },
    status: {
      phase: isRunning ? 'Running' : 'Pending',
      conditions: conditions(isRunning),
      ...(isRunning && {
        podIP: addresses[0],
        podIPs: addresses.map((ip) => ({ ip })),
        containerStatuses: [STATUS],
      }),
    },
  }
}

/** @param port of the databases: another one makes another policy */
export function policyObjects(number: number, port = 5432) {
  const named = (name: string, spec: object) => ({ metadata: { namespace: namespaceName(number), name }, spec })
  const tier = (tier: Tier) => ({ podSelector: { matchLabels: { tier } } })
  const team = { namespaceSelector: { matchLabels: { team: `team-${number % TEAMS}` } } }
  const tcp = (port: number | string) => ({ protocol: 'TCP', port })
  const dns = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespaceName(0) } } }
  return [
    named('default-deny', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] }),
    named('web', {
      ...tier('web'),
      ingress: [
        { from: [team], ports: [tcp('http')] },
        { from: [{ ipBlock: { cidr: '192.168.0.0/16', except: ['192.168.7.0/24'] } }], ports: [tcp(8443)] },
      ],
    }),
    named('data', { ...tier('data'), ingress: [{ from: [tier('web')], ports: [tcp(port), tcp(6379)] }] }),
    named('monitoring', {
      podSelector: {},
      ingress: [
        { from: [{ namespaceSelector: {}, podSelector: { matchLabels: { app: 'app-9' } } }], ports: [tcp(9100)] },
      ],
    }),
    named('egress', {
      podSelector: {},
      policyTypes: ['Egress'],
      egress: [
        { to: [dns], ports: [{ protocol: 'UDP', port: 53 }, tcp(53)] },
        { to: [{ podSelector: {} }, team] },
        { to: [{ ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8', '172.16.0.0/12'] } }], ports: [tcp(443)] },
      ],
    }),
  ]
}

const OWNERS_WORDS = {
  creationTimestamp: '2026-01-01T00:00:00Z',
  generateName: 'main-5d4c7b9f-',
  ownerReferences: [
    {
      apiVersion: 'apps/v1',
      blockOwnerDeletion: true,
      controller: true,
      kind: 'ReplicaSet',
      name: 'main-5d4c7b9f',
      uid: '01234567-89ab-cdef-0123-456789abcdef',
    },
  ],
  managedFields: ['kube-controller-manager', 'kubelet'].map((manager) => ({
    manager,
    operation: 'Update',
    apiVersion: 'v1',
    time: '2026-01-01T00:00:00Z',
    fieldsType: 'FieldsV1',
    fieldsV1: {
      'f:metadata': { 'f:labels': { '.': {}, 'f:app': {}, 'f:tier': {} } },
      'f:spec': { 'f:containers': {} },
    },
  })),
}

const CONTAINER = {
  image: 'registry.example/library/main:1.0',
  imagePullPolicy: 'IfNotPresent',
  env: Array.from({ length: 12 }, (_, i) => ({ name: `SETTING_${i}`, value: `value of setting ${i}` })),
  resources: { limits: { cpu: '500m', memory: '256Mi' }, requests: { cpu: '100m', memory: '128Mi' } },
  livenessProbe: { httpGet: { path: '/healthz', port: 'http', scheme: 'HTTP' }, periodSeconds: 10, timeoutSeconds: 1 },
  readinessProbe: { httpGet: { path: '/ready', port: 'http', scheme: 'HTTP' }, periodSeconds: 10, timeoutSeconds: 1 },
  volumeMounts: [
    { name: 'kube-api-access', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true },
  ],
}

const VOLUMES = [
  {
    name: 'kube-api-access',
    projected: {
      defaultMode: 420,
      sources: [
        { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
        { configMap: { items: [{ key: 'ca.crt', path: 'ca.crt' }], name: 'kube-root-ca.crt' } },
      ],
    },
  },
]

const STATUS = {
  name: 'main',
  ready: true,
  restartCount: 0,
  started: true,
  containerID: `containerd://${'0123456789abcdef'.repeat(4)}`,
  image: 'registry.example/library/main:1.0',
  imageID: `registry.example/library/main@sha256:${'0123456789abcdef'.repeat(4)}`,
  state: { running: { startedAt: '2026-01-01T00:00:05Z' } },
}

function conditions(isRunning: boolean) {
  return ['PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map((type) => ({
    type,
    status: isRunning || type === 'PodScheduled' ? 'True' : 'False',
    lastProbeTime: null,
    lastTransitionTime: '2026-01-01T00:00:05Z',
  }))
}
