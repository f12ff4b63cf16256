import type { Labels, PodSelection, Requirement, Selector } from '../cluster/policy.ts'
import type { ClusterNamespace, ClusterPod } from '../cluster/workloads.ts'

/** All requirements hold (metav1.LabelSelector): `NotIn` and `DoesNotExist` do, too, where the label is missing. */
export function selects({ requirements }: Selector, labels: Labels): boolean {
  return requirements.every((requirement) => holds(requirement, labels))
}

/** @param namespace the pod's; undefined when nothing is known of it but its name, which then is its only label */
export function selectsPod(
  { namespaces, pods }: PodSelection,
  pod: Pick<ClusterPod, 'namespace' | 'labels' | 'isHostNetwork'>,
  namespace: ClusterNamespace | undefined,
): boolean {
  if (pod.isHostNetwork) return false
  const inNamespace =
    typeof namespaces === 'string'
      ? namespaces === pod.namespace
      : selects(namespaces, namespace?.labels ?? { 'kubernetes.io/metadata.name': pod.namespace })
  return inNamespace && selects(pods, pod.labels)
}

function holds({ key, operator, values }: Requirement, labels: Labels): boolean {
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
  }
}
