import {
  ADDRESS_BITS,
  AddressError,
  type Cidr,
  familyOf,
  formatAddress,
  parseAddress,
  parseCidr,
} from '../../ipam/address.ts'
import { reservedFromNodes, reservedFromPods } from '../../ipam/reserved.ts'
import { labelsOf, ObjectError } from './object-fields.ts'
import type { Labels } from './policy.ts'
import { type Announcement, type ClusterNode, ENCAPSULATIONS, type Encapsulation } from './view.ts'

/** What a node's agent tells the others' of itself, and they act upon. */
export const ANNOTATION = 'bramble.dev/node'
/** What it tells people; no part of the view. */
export const STATUS_ANNOTATION = 'bramble.dev/status'

/** k8s.io/apimachinery, metav1.Time: whole seconds. */
const CREATED_AT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/

/** A Node of Kubernetes cannot be used; the message names the field and what to write there. */
export class NodeObjectError extends Error {
  override readonly name = 'NodeObjectError'
  readonly code = 'NODE_OBJECT' as const
}

/**
 * From a Kubernetes Node (v1) to what we need of it. Pure; reads nothing but
 * metadata.name, metadata.creationTimestamp, metadata.labels, our annotation, spec.podCIDRs (or spec.podCIDR) and status.addresses.
 * @throws NodeObjectError
 */
export function parseNodeObject(object: unknown): ClusterNode {
  const node = field(object, 'the object', 'a mapping')
  if (node.kind !== 'Node' || node.apiVersion !== 'v1')
    throw new NodeObjectError(`apiVersion ${quote(node.apiVersion)}, kind ${quote(node.kind)}: expected v1, Node`)
  const {
    name,
    creationTimestamp,
    annotations,
    labels: rawLabels,
  } = field(node.metadata, 'metadata', 'a mapping with the name')
  if (typeof name !== 'string' || !/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(name))
    throw new NodeObjectError(`metadata.name is ${quote(name)}; a host name is expected`)
  const createdAt = CREATED_AT.exec(String(creationTimestamp))?.[0]
  const announced = announcement(annotations)
  const labels = nodeLabels(rawLabels)
  const entries = addressEntries(node.status)
  const addresses = internalAddresses(entries)
  const others = otherAddresses(entries, addresses)
  return {
    name,
    podCidrs: podCidrs(node.spec),
    addresses,
    ...(createdAt && { createdAt }),
    ...(announced && { announcement: announced }),
    ...(Object.keys(labels).length > 0 && { labels }),
    ...(others.length > 0 && { otherAddresses: others }),
  }
}

/** The other way: a Node that parseNodeObject reads as this one. Pure. */
export function formatNodeObject({
  name,
  podCidrs,
  addresses,
  createdAt,
  announcement,
  labels,
  otherAddresses = [],
}: ClusterNode) {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      ...(createdAt && { creationTimestamp: createdAt }),
      ...(labels && { labels }),
      ...(announcement && { annotations: { [ANNOTATION]: formatAnnouncement(announcement) } }),
    },
    spec: { podCIDRs: podCidrs.map(({ text }) => text) },
    status: {
      addresses: [
        ...addresses.map((address) => ({ type: 'InternalIP', address })),
        ...otherAddresses.map((address) => ({ type: 'ExternalIP', address })),
      ],
    },
  }
}

/** The value of the annotation. */
export function formatAnnouncement({ encapsulations, wireguard }: Announcement): string {
  return JSON.stringify({ encapsulations, ...(wireguard && { wireguard }) })
}

/** Encapsulations that this version does not know are left out: a newer agent may do more. */
function announcement(annotations: unknown): Announcement | undefined {
  if (annotations === undefined || annotations === null) return undefined
  const text = field(annotations, 'metadata.annotations', 'a mapping')[ANNOTATION]
  if (text === undefined) return undefined
  const { encapsulations, wireguard } = field(parseJson(text), `annotation ${ANNOTATION}`, 'a JSON object')
  if (!Array.isArray(encapsulations))
    throw new NodeObjectError(
      `annotation ${ANNOTATION}: encapsulations is ${quote(encapsulations)}; a list is expected`,
    )
  const known = ENCAPSULATIONS.filter((one: Encapsulation) => encapsulations.includes(one))
  return { encapsulations: known, ...(wireguard !== undefined && { wireguard: wireguardOf(wireguard) }) }
}

function wireguardOf(value: unknown): { publicKey: string; port: number } {
  const { publicKey, port } = field(value, `annotation ${ANNOTATION}: wireguard`, 'publicKey and port')
  if (typeof publicKey !== 'string' || !/^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/.test(publicKey))
    throw new NodeObjectError(
      `annotation ${ANNOTATION}: wireguard.publicKey is ${quote(publicKey)}; 32 bytes in base64 are expected`,
    )
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535)
    throw new NodeObjectError(`annotation ${ANNOTATION}: wireguard.port is ${quote(port)}; a UDP port is expected`)
  return { publicKey, port }
}

function parseJson(text: unknown): unknown {
  try {
    return JSON.parse(String(text))
  } catch {
    throw new NodeObjectError(`annotation ${ANNOTATION} is ${quote(text)}; JSON is expected`)
  }
}

function podCidrs(spec: unknown): Cidr[] {
  if (spec === undefined || spec === null) return []
  const { podCIDRs, podCIDR } = field(spec, 'spec', 'a mapping')
  const texts = podCIDRs ?? (podCIDR === undefined || podCIDR === '' ? [] : [podCIDR])
  if (!Array.isArray(texts)) throw new NodeObjectError(`spec.podCIDRs is ${quote(texts)}; a list is expected`)
  const cidrs = texts.map((text) => {
    try {
      return parseCidr(String(text))
    } catch (error) {
      throw error instanceof AddressError ? new NodeObjectError(`spec.podCIDRs: ${error.message}`) : error
    }
  })
  if (new Set(cidrs.map(({ family }) => family)).size < cidrs.length)
    throw new NodeObjectError(`spec.podCIDRs has two of one family: ${texts.join(', ')}; one of each is expected`)
  for (const cidr of cidrs) {
    const reserved = reservedFromPods(cidr)
    if (reserved)
      throw new NodeObjectError(
        `spec.podCIDRs: ${cidr.text} overlaps ${reserved.cidr.text}, ${reserved.why}; give the pods private addresses`,
      )
  }
  return cidrs
}

interface AddressEntry {
  readonly type: unknown
  readonly address: string
}

function addressEntries(status: unknown): AddressEntry[] {
  if (status === undefined || status === null) return []
  const { addresses = [] } = field(status, 'status', 'a mapping')
  if (!Array.isArray(addresses))
    throw new NodeObjectError(`status.addresses is ${quote(addresses)}; a list is expected`)
  return addresses.map((entry) => {
    const { type, address } = field(entry, 'status.addresses[]', 'a mapping with type and address')
    return { type, address: String(address) }
  })
}

/** The first InternalIP of each family, as the kernel writes it: what is listed there is compared with it as text. */
function internalAddresses(entries: readonly AddressEntry[]): string[] {
  const first = new Map<number, string>()
  for (const { type, address } of entries) {
    if (type !== 'InternalIP') continue
    const text = nodeAddress(address)
    if (!first.has(familyOf(text))) first.set(familyOf(text), text)
  }
  return [...first.values()]
}

/** All else that is an address, whatever its type. Names are among them: only policies look here, and the way to the node is not lost for what is none. */
function otherAddresses(entries: readonly AddressEntry[], addresses: readonly string[]): string[] {
  const others = entries.flatMap(({ address }) => canonical(address) ?? [])
  return [...new Set(others)].filter((address) => !addresses.includes(address))
}

function canonical(text: string): string | undefined {
  try {
    return formatAddress(familyOf(text), parseAddress(text))
  } catch {
    return undefined
  }
}

function nodeAddress(text: string): string {
  const family = familyOf(text)
  try {
    const address = formatAddress(family, parseAddress(text))
    const reserved = reservedFromNodes(parseCidr(`${address}/${ADDRESS_BITS[family]}`))
    if (!reserved) return address
    throw new NodeObjectError(
      `status.addresses: ${address} is in ${reserved.cidr.text}, ${reserved.why}; an address is expected at which other nodes reach this one`,
    )
  } catch (error) {
    throw error instanceof AddressError ? new NodeObjectError(`status.addresses: ${error.message}`) : error
  }
}

function nodeLabels(labels: unknown): Labels {
  try {
    return labelsOf(labels)
  } catch (error) {
    throw error instanceof ObjectError ? new NodeObjectError(error.message) : error
  }
}

function field(value: unknown, name: string, expected: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new NodeObjectError(`${name} is ${quote(value)}; ${expected} is expected`)
  return value as Record<string, unknown>
}

function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? 'missing'
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`
}
