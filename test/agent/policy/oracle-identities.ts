import { numberOf } from './oracle-addresses.ts'
import type { RawCluster, RawMetadata, RawNode, RawPod, RawSelector } from './oracle-objects.ts'

/** Who is who in the cluster: names, labels, addresses, named ports. */

export const idOf = ({ metadata }: { readonly metadata: RawMetadata }) => `${metadata.namespace}/${metadata.name}`

export const labelsOf = ({ metadata }: { readonly metadata: RawMetadata }) => metadata.labels ?? {}

export const ipsOf = ({ status }: RawPod) => (status?.podIPs ?? []).map(({ ip }) => ip)

export const isAudit = ({ metadata }: { readonly metadata: RawMetadata }) =>
  metadata.annotations?.['bramble.dev/mode'] === 'audit'

/** Neither ended nor with the network of its node. */
export function isSomebody({ spec, status }: RawPod): boolean {
  return spec.hostNetwork !== true && status?.phase !== 'Succeeded' && status?.phase !== 'Failed'
}

export function podsAt(cluster: RawCluster, address: string): RawPod[] {
  return cluster.pods.filter((pod) => isSomebody(pod) && ipsOf(pod).includes(address))
}

export function namespaceLabels({ namespaces }: RawCluster, { metadata }: RawPod): Readonly<Record<string, string>> {
  const name = metadata.namespace ?? ''
  const namespace = namespaces.find((one) => one.metadata.name === name)
  return { ...namespace?.metadata.labels, 'kubernetes.io/metadata.name': name }
}

export function hasNamedPort({ spec }: RawPod, name: string, protocol: string, number: number): boolean {
  const running = [
    ...spec.containers,
    ...(spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always'),
  ]
  return running
    .flatMap(({ ports }) => ports ?? [])
    .some((port) => port.name === name && (port.protocol ?? 'TCP') === protocol && port.containerPort === number)
}

export function nodeAddresses({ status }: RawNode): string[] {
  return status.addresses.map(({ address }) => address).filter((address) => numberOf(address) !== undefined)
}

/** A node speaks through a tunnel with the first address of its pod CIDR (docs/networking.md). */
export function tunnelAddresses({ spec }: RawNode): string[] {
  return spec.podCIDRs.map((cidr) => cidr.replace(/\/.*/, ''))
}

const OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist']

export function isSelector({ matchExpressions = [] }: RawSelector): boolean {
  return matchExpressions.every(
    ({ operator, values = [] }) => OPERATORS.includes(operator) && operator.endsWith('In') === values.length > 0,
  )
}

/** metav1.LabelSelector: "The requirements are ANDed"; one that cannot be read selects nobody. */
export function selects(selector: RawSelector, labels: Readonly<Record<string, string>>): boolean {
  const { matchLabels = {}, matchExpressions = [] } = selector
  if (!isSelector(selector)) return false
  const get = (key: string) => (Object.hasOwn(labels, key) ? labels[key] : undefined)
  return (
    Object.entries(matchLabels).every(([key, value]) => get(key) === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = get(key)
      if (operator === 'In') return value !== undefined && values.includes(value)
      if (operator === 'NotIn') return value === undefined || !values.includes(value)
      return (operator === 'Exists') === (value !== undefined)
    })
  )
}

/** An address, or that of a tunnel link of a node that is meant. */
export function meansAddress(cluster: RawCluster, address: string, isMeant: (address: string) => boolean): boolean {
  return (
    isMeant(address) ||
    cluster.nodes.some((node) => tunnelAddresses(node).includes(address) && nodeAddresses(node).some(isMeant))
  )
}
