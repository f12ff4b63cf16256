import { hash } from 'node:crypto'
import { parseClusterNetworkPolicyObject } from '../cluster-network-policy-object.ts'
import { parseNamespaceObject } from '../namespace-object.ts'
import { parseNetworkPolicyObject } from '../network-policy-object.ts'
import { MIRROR_ANNOTATION, parsePodObject } from '../pod-object.ts'
import type { Labels } from '../policy.ts'
import type { ParsedPolicy } from '../policy-object.ts'
import { Shared } from '../shared.ts'
import type { ClusterNamespace, ClusterPod, NamedPort } from '../workloads.ts'
import type { ApiObject } from './answers.ts'
import type { Kind } from './store.ts'
import type { Resource } from './watch.ts'

export const PODS: Resource = { path: '/api/v1/pods', apiVersion: 'v1', kind: 'Pod', name: 'pods' }
export const NAMESPACES: Resource = {
  path: '/api/v1/namespaces',
  apiVersion: 'v1',
  kind: 'Namespace',
  name: 'namespaces',
}
export const NETWORK_POLICIES: Resource = {
  path: '/apis/networking.k8s.io/v1/networkpolicies',
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  name: 'networkpolicies.networking.k8s.io',
}
/** Only where somebody has installed its CRD. */
export const CLUSTER_NETWORK_POLICIES: Resource = {
  path: '/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies',
  apiVersion: 'policy.networking.k8s.io/v1alpha2',
  kind: 'ClusterNetworkPolicy',
  name: 'clusternetworkpolicies.policy.networking.k8s.io',
}

interface PodObject extends ApiObject {
  readonly metadata: ApiObject['metadata'] & { readonly uid?: unknown }
  readonly spec?: {
    readonly nodeName?: unknown
    readonly hostNetwork?: unknown
    readonly containers?: unknown
    readonly initContainers?: unknown
  }
  readonly status?: { readonly phase?: unknown; readonly podIPs?: unknown; readonly podIP?: unknown }
}

interface ContainerObject {
  readonly restartPolicy?: unknown
  readonly ports?: unknown
}

/** Of the many that are alike, labels and ports are one object. */
export function podKind(): Kind<ClusterPod> {
  const labels = new Shared<Labels>()
  const ports = new Shared<readonly NamedPort[]>()
  return {
    // Conditions, restarts and what controllers note come many times a minute.
    essence: (object) => {
      const { metadata, spec, status } = object as PodObject
      return digest([
        metadata.uid,
        metadata.annotations?.[MIRROR_ANNOTATION],
        metadata.labels,
        spec?.nodeName,
        spec?.hostNetwork,
        each(spec?.containers, ({ ports }) => ports),
        each(spec?.initContainers, ({ restartPolicy, ports }) => [restartPolicy, ports]),
        status?.phase,
        status?.podIPs,
        status?.podIP,
      ])
    },
    parse: (object) => {
      const pod = parsePodObject(object)
      return { ...pod, labels: labels.of(pod.labels), ports: ports.of(pod.ports) }
    },
  }
}

export const NAMESPACE_KIND: Kind<ClusterNamespace> = {
  essence: ({ metadata }) => digest(metadata.labels),
  parse: parseNamespaceObject,
}

export const NETWORK_POLICY_KIND = policyKind(parseNetworkPolicyObject)
export const CLUSTER_NETWORK_POLICY_KIND = policyKind(parseClusterNetworkPolicyObject)

function policyKind(parse: (object: unknown) => ParsedPolicy): Kind<ParsedPolicy> {
  return {
    essence: (object) => digest([object.metadata.annotations, (object as { spec?: unknown }).spec]),
    parse,
  }
}

/** What is no list of containers is for `parse` to name: thrown here, it would end the list of all objects. */
function each(list: unknown, essence: (container: ContainerObject) => unknown): unknown {
  return Array.isArray(list) ? list.map((one) => essence(one ?? {})) : list
}

/** 32 bytes for each object, instead of all that is looked at: a policy may have 10,000 CIDRs. */
function digest(value: unknown): string {
  return hash('sha256', JSON.stringify(value) ?? '', 'base64')
}
