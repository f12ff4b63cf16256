import { parseAllDocuments } from 'yaml'
import type { RealServer } from '../agent/cluster/kubernetes/real-server.ts'

// biome-ignore lint/suspicious/noExplicitAny: a manifest may hold anything; what is missing fails the test
export type Manifest = any

/** Where objects of a kind are made: the group with its version, the plural. */
const COLLECTIONS: Readonly<Record<string, readonly [prefix: string, plural: string]>> = {
  ServiceAccount: ['/api/v1', 'serviceaccounts'],
  ConfigMap: ['/api/v1', 'configmaps'],
  ClusterRole: ['/apis/rbac.authorization.k8s.io/v1', 'clusterroles'],
  ClusterRoleBinding: ['/apis/rbac.authorization.k8s.io/v1', 'clusterrolebindings'],
  Role: ['/apis/rbac.authorization.k8s.io/v1', 'roles'],
  RoleBinding: ['/apis/rbac.authorization.k8s.io/v1', 'rolebindings'],
  DaemonSet: ['/apis/apps/v1', 'daemonsets'],
  ValidatingAdmissionPolicy: ['/apis/admissionregistration.k8s.io/v1', 'validatingadmissionpolicies'],
  ValidatingAdmissionPolicyBinding: ['/apis/admissionregistration.k8s.io/v1', 'validatingadmissionpolicybindings'],
}

export function objectsOf(manifests: string): Manifest[] {
  return parseAllDocuments(manifests).map((document) => document.toJS())
}

/** As `kubectl apply` does where nothing is there yet: a field that the server does not know is an error. */
export async function apply(server: RealServer, manifests: string, { dryRun = false } = {}): Promise<void> {
  for (const object of objectsOf(manifests)) {
    const { kind, metadata } = object
    const [prefix, plural] = COLLECTIONS[kind] ?? []
    if (prefix === undefined) throw new Error(`COLLECTIONS of test/deploy/apply.ts has no ${kind}`)
    const namespace = metadata.namespace === undefined ? '' : `/namespaces/${metadata.namespace}`
    const query = `?fieldValidation=Strict${dryRun ? '&dryRun=All' : ''}`
    await server.ask('POST', `${prefix}${namespace}/${plural}${query}`, object)
  }
}

/** As a kubelet gets it for a pod of the agents on its node; the pod is made for that. */
export async function tokenOfAgentOn(server: RealServer, node: string): Promise<string> {
  const inSystem = '/api/v1/namespaces/kube-system'
  const name = `bramble-${node}`
  await server.ask('POST', `${inSystem}/pods`, {
    metadata: { name },
    spec: { nodeName: node, serviceAccountName: 'bramble', containers: [{ name: 'agent', image: 'agent' }] },
  })
  return tokenFor(server, { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name } })
}

/** Of the agents' account. @param spec of a TokenRequest */
export async function tokenFor(server: RealServer, spec: object): Promise<string> {
  const path = '/api/v1/namespaces/kube-system/serviceaccounts/bramble/token'
  return JSON.parse(await server.ask('POST', path, { spec })).status.token
}
