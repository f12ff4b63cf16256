import { createHash } from 'node:crypto'
import { isAddress } from '../ipam/address.ts'

/**
 * What the kernel remembers for us of a pod's attachment, in its host link's alias. It is written when all the rest
 * is done, so a link without it is half made. From it alone, the next agent knows whose link this is.
 *
 *     bramble/1 CONTAINERID IFNAME NETWORK ADDRESS[,ADDRESS] UID NAMESPACE/POD
 */
export interface AttachmentRecord {
  readonly containerId: string
  readonly ifname: string
  /** The `name` of the network configuration, or its digest where it is long: see networkMark. */
  readonly network: string
  readonly addresses: readonly string[]
  /** `namespace/name`, cut at the end where the alias has no room; empty without Kubernetes. */
  readonly pod: string
  /** Absent without Kubernetes. */
  readonly podUid?: string
}

const FORMAT = 'bramble/1'
/** IFALIASZ of include/uapi/linux/if.h is 256 with the NUL. */
const ALIAS_BYTES_MAX = 255
const NETWORK_MARK_MAX = 24
/** Of these two the name is what people look for: where so much of it would have no room, the UID is left out. */
const POD_BYTES_MIN = 15

/** A network's name as it stands in records: short ones as they are, so that people recognise them. */
export function networkMark(name: string): string {
  if (name.length <= NETWORK_MARK_MAX) return name
  return `sha256-${createHash('sha256').update(name).digest('hex').slice(0, 16)}`
}

export function formatAlias(record: AttachmentRecord): string {
  const { containerId, ifname, network, addresses } = record
  const [uid = '', pod = ''] = [record.podUid ?? '', record.pod].map((text) => (/^[\w./-]+$/.test(text) ? text : '-'))
  const known = [FORMAT, containerId, ifname, network, addresses.join(',')].join(' ')
  const hasRoom = Buffer.byteLength(`${known} ${uid} `) + POD_BYTES_MIN <= ALIAS_BYTES_MAX
  const alias = [known, hasRoom ? uid : '-', pod].join(' ')
  return Buffer.from(alias).toString('utf8', 0, ALIAS_BYTES_MAX) // an ifname may hold more bytes than characters
}

/** Whether the pod's name may be the beginning of a longer one. */
export function mayBeCut(record: AttachmentRecord): boolean {
  return Buffer.byteLength(formatAlias(record)) === ALIAS_BYTES_MAX
}

/** @returns undefined when the text is no finished record of ours */
export function parseAlias(alias: string): AttachmentRecord | undefined {
  const [format, containerId, ifname, network, addresses, uid, pod] = alias.split(' ')
  if (format !== FORMAT || !containerId || !ifname || !network || !addresses || !uid || !pod) return undefined
  const list = addresses.split(',')
  if (!list.every(isAddress)) return undefined
  return {
    containerId,
    ifname,
    network,
    addresses: list,
    pod: pod === '-' ? '' : pod,
    ...(uid !== '-' && { podUid: uid }),
  }
}
