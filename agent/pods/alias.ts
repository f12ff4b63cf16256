import { createHash } from 'node:crypto'
import { isAddress } from '../../ipam/address.ts'

/**
 * What the kernel remembers for us of a pod's attachment, in its host link's alias. It is written when all the rest
 * is done, so a link without it is half made. From it alone, the next agent knows whose link this is.
 *
 *     bramble/1 CONTAINERID IFNAME NETWORK ADDRESS[,ADDRESS] NAMESPACE/POD
 */
export interface AttachmentRecord {
  readonly containerId: string
  readonly ifname: string
  /** The `name` of the network configuration, or its digest where it is long: see networkMark. */
  readonly network: string
  readonly addresses: readonly string[]
  /** `namespace/name`, cut at the end where the alias has no room; empty without Kubernetes. */
  readonly pod: string
}

const FORMAT = 'bramble/1'
/** IFALIASZ of include/uapi/linux/if.h is 256 with the NUL. */
const ALIAS_BYTES_MAX = 255
const NETWORK_MARK_MAX = 24

/** A network's name as it stands in records: short ones as they are, so that people recognise them. */
export function networkMark(name: string): string {
  if (name.length <= NETWORK_MARK_MAX) return name
  return `sha256-${createHash('sha256').update(name).digest('hex').slice(0, 16)}`
}

export function formatAlias(record: AttachmentRecord): string {
  const { containerId, ifname, network, addresses } = record
  const pod = /^[\w./-]+$/.test(record.pod) ? record.pod : '-'
  const alias = [FORMAT, containerId, ifname, network, addresses.join(','), pod].join(' ')
  return Buffer.from(alias).toString('utf8', 0, ALIAS_BYTES_MAX) // an ifname may hold more bytes than characters
}

/** @returns undefined when the text is no finished record of ours */
export function parseAlias(alias: string): AttachmentRecord | undefined {
  const [format, containerId, ifname, network, addresses, pod] = alias.split(' ')
  if (format !== FORMAT || !containerId || !ifname || !network || !addresses || !pod) return undefined
  const list = addresses.split(',')
  if (!list.every(isAddress)) return undefined
  return { containerId, ifname, network, addresses: list, pod: pod === '-' ? '' : pod }
}
