import { PROBES_VARIABLE, type Probe, SERVER_PORT } from './probe.ts'

/** What the test makes in the cluster. Pure. */

export const NAMESPACE_PREFIX = 'bramble-test-'
/** That a namespace is a test's, whoever made it. */
export const TEST_LABEL = 'bramble.dev/connectivity-test'
export const SERVICE_NAME = 'server'
/** The longest that a test may take; its pods end by themselves then, though nobody deletes them. */
export const TEST_SECONDS_MAX = 900

const PROGRAM = '/opt/bramble/bin/bramblectl'
const GRACE_SECONDS = 1

export interface PodPlace {
  readonly name: string
  readonly namespace: string
  readonly node: string
  readonly image: string
}

type Manifest = Record<string, unknown>

export function namespaceObject(name: string): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name,
      // Pods with the network of the node are among them.
      labels: { [TEST_LABEL]: 'true', 'pod-security.kubernetes.io/enforce': 'privileged' },
    },
  }
}

export function serverPod(place: PodPlace): Manifest {
  return pod(place, 'server', {
    container: {
      command: [PROGRAM, 'connectivity', 'serve'],
      env: [{ name: 'BRAMBLE_CONNECTIVITY_NAME', value: place.name }],
      ports: [{ containerPort: SERVER_PORT }],
      // kubelet reaches it from the node: when it is ready, that works.
      readinessProbe: { tcpSocket: { port: SERVER_PORT }, periodSeconds: 1, timeoutSeconds: 3 },
    },
  })
}

/** @param role `client`; with the policy `friend` or `stranger` */
export function probePod(place: PodPlace, role: string, probes: readonly Probe[], isNode: boolean): Manifest {
  return pod(place, role, {
    container: {
      command: [PROGRAM, 'connectivity', 'probe'],
      env: [{ name: PROBES_VARIABLE, value: JSON.stringify(probes) }],
    },
    isNode,
  })
}

export function service(namespace: string): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: SERVICE_NAME, namespace },
    spec: {
      selector: { role: 'server' },
      ipFamilyPolicy: 'PreferDualStack',
      ports: [{ port: SERVER_PORT, protocol: 'TCP' }],
    },
  }
}

/** Servers let friends in, and nobody else. */
export function policy(namespace: string): Manifest {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'friends', namespace },
    spec: {
      podSelector: { matchLabels: { role: 'server' } },
      policyTypes: ['Ingress'],
      ingress: [
        {
          from: [{ podSelector: { matchLabels: { role: 'friend' } } }],
          ports: [{ port: SERVER_PORT, protocol: 'TCP' }],
        },
      ],
    },
  }
}

interface PodMore {
  readonly container: Manifest
  readonly isNode?: boolean
}

/** As restricted as Pod Security Standards ask for; echo requests need a group that may send them, and no capability. */
function pod(
  { name, namespace, node, image }: PodPlace,
  role: string,
  { container, isNode = false }: PodMore,
): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { role } },
    spec: {
      nodeName: node, // each node is to be tried, whatever the scheduler thinks of it
      tolerations: [{ operator: 'Exists' }],
      restartPolicy: role === 'server' ? 'Always' : 'Never',
      terminationGracePeriodSeconds: GRACE_SECONDS,
      activeDeadlineSeconds: TEST_SECONDS_MAX,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      ...(isNode && { hostNetwork: true }),
      securityContext: {
        runAsNonRoot: true,
        runAsUser: 65534,
        runAsGroup: 65534,
        seccompProfile: { type: 'RuntimeDefault' },
        ...(!isNode && { sysctls: [{ name: 'net.ipv4.ping_group_range', value: '0 65534' }] }),
      },
      containers: [
        {
          name: 'main',
          image,
          imagePullPolicy: 'IfNotPresent',
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          ...container,
        },
      ],
    },
  }
}
