import { AddressError, familyOf, formatAddress, isAddress, parseAddress } from '../../ipam/address.ts'
import {
  dnsName,
  type Fields,
  fieldsOf,
  labelsOf,
  listOf,
  metadataOf,
  ObjectError,
  optionalFields,
  quote,
  textOf,
} from './object-fields.ts'
import { PROTOCOLS } from './policy.ts'
import type { ClusterPod, NamedPort } from './workloads.ts'

/** Of status.phase: its addresses may be another pod's by now. */
const ENDED: readonly unknown[] = ['Succeeded', 'Failed']

/**
 * Of a pod that kubelet runs from a file of its own (a static pod) the API has an image alone, under the same name and with
 * another uid. The one that the runtime is told is in this annotation, MirrorPodAnnotationKey of k8s.io/api/core/v1: it
 * cannot be changed later, and what has it and is no image is never run.
 */
export const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror'

/**
 * From a Kubernetes Pod (v1) to what policies look at. Pure; reads nothing but metadata.name, namespace, uid, labels and
 * the annotation of an image, spec.nodeName, hostNetwork and the ports of containers, status.phase and podIPs (or podIP).
 * @throws ObjectError
 */
export function parsePodObject(object: unknown): ClusterPod {
  const { name, namespace = 'default', uid, labels, annotations } = metadataOf(object, 'v1', 'Pod')
  const { spec: rawSpec, status: rawStatus } = object as Fields
  const spec = optionalFields(rawSpec, 'spec')
  const status = optionalFields(rawStatus, 'status')
  return {
    namespace: dnsName(namespace, 'metadata.namespace'),
    name,
    uid: mirroredUid(annotations) || textOf(uid, 'metadata.uid'),
    nodeName: textOf(spec.nodeName, 'spec.nodeName'),
    labels: labelsOf(labels),
    addresses: ENDED.includes(status.phase) ? [] : addressesOf(status),
    isHostNetwork: flagOf(spec.hostNetwork, 'spec.hostNetwork'),
    ports: namedPorts(spec),
  }
}

/** The other way: a Pod that parsePodObject reads as this one. Pure. */
export function formatPodObject({
  namespace,
  name,
  uid,
  nodeName,
  labels,
  addresses,
  isHostNetwork,
  ports,
}: ClusterPod) {
  const containerPorts = ports.map(({ name, protocol, number }) => ({ name, protocol, containerPort: number }))
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, uid, labels },
    spec: {
      nodeName,
      ...(isHostNetwork && { hostNetwork: true }),
      ...(ports.length > 0 && { containers: [{ ports: containerPorts }] }),
    },
    status: { podIPs: addresses.map((ip) => ({ ip })) },
  }
}

/** '' of all but images. */
function mirroredUid(annotations: unknown): string {
  const { [MIRROR_ANNOTATION]: uid } = optionalFields(annotations, 'metadata.annotations')
  return textOf(uid, `metadata.annotations["${MIRROR_ANNOTATION}"]`)
}

/** As the kernel writes them: what is listed there is compared with them as text. */
function addressesOf({ podIPs, podIP }: Fields): string[] {
  const entries = listOf(podIPs, 'status.podIPs').map((entry, index) => {
    const path = `status.podIPs[${index}]`
    return [textOf(fieldsOf(entry, path).ip, `${path}.ip`), `${path}.ip`] as const
  })
  const all = entries.length > 0 ? entries : [[textOf(podIP, 'status.podIP'), 'status.podIP'] as const]
  return all.filter(([text]) => text !== '').map(([text, path]) => addressOf(text, path))
}

function addressOf(text: string, path: string): string {
  if (isAddress(text)) return text // as API servers write most of them; the other way takes ten times as long
  try {
    return formatAddress(familyOf(text), parseAddress(text))
  } catch (error) {
    throw error instanceof AddressError ? new ObjectError(`${path}: ${error.message}`) : error
  }
}

/** Of the containers that run beside each other: those that start the pod have ended, unless they stay (KEP-753). */
function namedPorts({ containers, initContainers }: Fields): NamedPort[] {
  const ports: NamedPort[] = []
  for (const [index, container] of listOf(containers, 'spec.containers').entries())
    addPorts(ports, container, `spec.containers[${index}]`)
  for (const [index, container] of listOf(initContainers, 'spec.initContainers').entries()) {
    const path = `spec.initContainers[${index}]`
    if (fieldsOf(container, path).restartPolicy === 'Always') addPorts(ports, container, path)
  }
  return ports
}

function addPorts(found: NamedPort[], container: unknown, path: string): void {
  for (const [index, port] of listOf(fieldsOf(container, path).ports, `${path}.ports`).entries()) {
    const fields = fieldsOf(port, `${path}.ports[${index}]`)
    const name = textOf(fields.name, `${path}.ports[${index}].name`)
    if (name !== '') found.push(portOf(name, fields, `${path}.ports[${index}]`))
  }
}

function portOf(name: string, { containerPort: number, protocol = 'TCP' }: Fields, path: string): NamedPort {
  const known = PROTOCOLS.find((one) => one === protocol)
  if (!known) throw new ObjectError(`${path}.protocol is ${quote(protocol)}; ${PROTOCOLS.join(', ')} are expected`)
  if (typeof number !== 'number' || !Number.isInteger(number) || number < 1 || number > 65_535)
    throw new ObjectError(`${path}.containerPort is ${quote(number)}; a number from 1 to 65535 is expected`)
  return { name, protocol: known, number }
}

function flagOf(value: unknown, path: string): boolean {
  if (value === undefined || value === null) return false
  if (typeof value !== 'boolean') throw new ObjectError(`${path} is ${quote(value)}; true or false is expected`)
  return value
}
