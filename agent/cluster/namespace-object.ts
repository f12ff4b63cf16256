import { labelsOf, metadataOf } from './object-fields.ts'
import type { ClusterNamespace } from './workloads.ts'

/** The API server gives it to each namespace (KEP-2161); manifests that were written by hand may lack it. */
const NAME_LABEL = 'kubernetes.io/metadata.name'

/**
 * From a Kubernetes Namespace (v1) to what policies look at: metadata.name and metadata.labels. Pure.
 * @throws ObjectError
 */
export function parseNamespaceObject(object: unknown): ClusterNamespace {
  const { name, labels } = metadataOf(object, 'v1', 'Namespace')
  return { name, labels: { ...labelsOf(labels), [NAME_LABEL]: name } }
}

/** The other way: a Namespace that parseNamespaceObject reads as this one. Pure. */
export function formatNamespaceObject({ name, labels }: ClusterNamespace) {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } }
}
