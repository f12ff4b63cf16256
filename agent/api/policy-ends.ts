import { AddressError, familyOf, formatAddress, parseAddress } from '../../ipam/address.ts'
import { type Identities, namedAddresses } from '../policy/identities.ts'
import type { PolicyInput } from '../policy/input.ts'
import { type Member, WORLD } from '../policy/parties.ts'
import type { AskedPort } from '../policy/reach.ts'

/** The cluster has no such pod, node or port, or it has none yet; the message says what to do. */
export class EndError extends Error {
  override readonly name = 'EndError'
  readonly code = 'END' as const
}

export interface End extends Member {
  readonly note?: string
}

/**
 * Whom somebody asks about.
 * @param text `pod NAMESPACE/NAME`, `node NAME`, `address ADDRESS`, `world`
 * @throws EndError
 */
export function endOf(text: string, input: PolicyInput, identities: Identities): End {
  const [kind, name = ''] = text.split(' ', 2)
  switch (kind) {
    case 'pod':
      return podEnd(name, input, identities)
    case 'node':
      return nodeEnd(name, input)
    case 'address':
      return addressEnd(name, identities)
    case 'world':
      return {
        name: 'world',
        addresses: Object.values(WORLD),
        note: 'these addresses stand for all that no rule names',
      }
    default:
      throw new EndError(`"${text}" is no pod, node or address`)
  }
}

function podEnd(key: string, input: PolicyInput, identities: Identities): End {
  const pod = input.workloads.pods.get(key)
  if (!pod) {
    const local = [...input.localPods.values()].find((one) => one.pod === key)
    if (!local) throw new EndError(`no pod ${key} is known; see: kubectl get pods -A, bramblectl pods`)
    return { name: key, addresses: local.addresses, note: 'wired by this node; the cluster has said nothing of it' }
  }
  const { nodeName } = pod
  const known = { key, pod, namespace: input.workloads.namespaces.get(pod.namespace) }
  if (!pod.isHostNetwork) {
    const addresses = identities.addressesOf(key)
    if (addresses.length > 0) return { name: key, addresses, pod: known, nodeName }
    throw new EndError(
      pod.addresses.length > 0 && nodeName !== input.nodeName
        ? `pod ${key} says that it has ${pod.addresses.join(', ')}, which it cannot have; see: bramblectl policy show`
        : `pod ${key} has no address: it has not started, or it has ended`,
    )
  }
  const node = input.nodes.get(nodeName)
  if (!node) throw new EndError(`pod ${key} has the network of its node ${nodeName}, which is not known`)
  const note = `has the network of its node ${nodeName}: no policy is about it`
  return { name: key, addresses: namedAddresses(node), nodeName, note }
}

function nodeEnd(name: string, { nodes }: PolicyInput): End {
  const node = nodes.get(name)
  if (!node) throw new EndError(`no node ${name} is known; see: bramblectl nodes`)
  const addresses = namedAddresses(node)
  if (addresses.length === 0) throw new EndError(`node ${name} has no address; see: bramblectl nodes`)
  return { name: `node ${name}`, addresses, nodeName: name }
}

/** @param text which may be written in any way */
function addressEnd(text: string, identities: Identities): End {
  const { address, isMapped } = formatted(text)
  const { pods, local, nodeName: node } = identities.at(address)
  const [pod] = pods
  const owner = pod?.key ?? local?.pod ?? (local ? 'a container' : node && `node ${node}`)
  const nodeName = pod?.pod.nodeName ?? node
  const notes = [
    ...(isMapped ? [`in packets ${text} is this`] : []),
    ...(owner === undefined ? [] : [`this is ${owner}`]),
  ]
  return {
    name: address,
    addresses: [address],
    ...(pod && { pod }),
    ...(nodeName !== undefined && { nodeName }),
    ...(notes.length > 0 && { note: notes.join('; ') }),
  }
}

/** Those of `::ffff:0:0/96` are what programs with one socket for both families call IPv4 (RFC 4291, 2.5.5.2). */
const MAPPED = 0xffffn

function formatted(text: string): { readonly address: string; readonly isMapped: boolean } {
  try {
    const [family, number] = [familyOf(text), parseAddress(text)]
    const isMapped = family === 6 && number >> 32n === MAPPED
    return { address: isMapped ? formatAddress(4, number & 0xffff_ffffn) : formatAddress(family, number), isMapped }
  } catch (error) {
    throw error instanceof AddressError ? new EndError(error.message) : error
  }
}

/** @param words PORT, which is a number or a name, and PROTOCOL @returns undefined where none is asked for */
export function askedPort(words: Readonly<Record<string, string>>): AskedPort | undefined {
  const { PORT: port = '', PROTOCOL: protocol } = words
  switch (protocol) {
    case undefined:
      return undefined
    case 'ICMP':
      return { protocol, port: 0 }
    case 'TCP':
    case 'UDP':
    case 'SCTP':
      return { protocol, port: /^\d+$/.test(port) ? Number(port) : port }
    default:
      throw new EndError(`"${protocol}" is no protocol; TCP, UDP, SCTP and ICMP are known`)
  }
}
