import { hash } from 'node:crypto'
import { type AttachmentRecord, parseAlias } from './alias.ts'
import { formatMac } from './kernel/mac.ts'

/**
 * The marks by which our kernel objects are known as ours; nothing without one is ever touched. docs/ownership.md
 * says the same to people.
 */

/** Host links of pods: `brm` and 12 hexadecimal digits, 15 characters as IFNAMSIZ allows. */
const HOST_LINK_NAME = /^brm[0-9a-f]{12}$/

/** By container and never by pod name: a late DEL of an old pod must not hit a new one of the same name. */
export function hostLinkName(containerId: string, ifname: string): string {
  return `brm${digest(containerId, ifname).subarray(0, 6).toString('hex')}`
}

/** A unicast, locally administered MAC (IEEE 802c), the same for the same attachment at any time. */
export function podMacOf(containerId: string, ifname: string): string {
  const bytes = Buffer.from(digest(containerId, ifname).subarray(6, 12))
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 0x02
  return formatMac(bytes)
}

/** Of an attachment it is asked for several times in a row. */
let last = { attachment: '', digest: Buffer.alloc(0) }

function digest(containerId: string, ifname: string): Buffer {
  const attachment = `${containerId}\0${ifname}`
  if (last.attachment !== attachment) last = { attachment, digest: hash('sha256', attachment, 'buffer') }
  return last.digest
}

/** Link groups (IFLA_GROUP): pods' links, and those that wait to be deleted together. "brm" in ASCII, then a digit. */
export const LINK_GROUP = { pods: 0x62726d01, condemned: 0x62726d02 } as const

/** Our routes and rules (rtm_protocol): 98, free in /etc/iproute2/rt_protos. */
export const ROUTE_PROTOCOL = 98

/** Our routes to other nodes' pods, which come and go with the cluster and not with pods. */
export const NODE_ROUTE_PROTOCOL = 97

/** Our tunnels, by kind: one link of each at most. Their addresses, neighbours, fdb entries and peers are ours with them. */
export const TUNNEL_LINKS = {
  vxlan: 'bramble.vxlan',
  ipip: 'bramble.ipip',
  gre: 'bramble.gre',
  wireguard: 'bramble.wg',
} as const

export function isTunnelLink({ name, kind }: { readonly name: string; readonly kind: string }): boolean {
  return Object.hasOwn(TUNNEL_LINKS, kind) && TUNNEL_LINKS[kind as keyof typeof TUNNEL_LINKS] === name
}

/** Our nftables tables, of any family: `bramble`, alone or with more after one of `.-_`; a longer word is another program's. */
export function isOurTable(name: string): boolean {
  return /^bramble([._-][\w.-]*)?$/.test(name)
}

/** The agent's files in its state directory, besides its socket and the notes in `pending`; all are 0600. */
export const STATE_FILES: readonly string[] = [
  'lock',
  'freed',
  'freed.new',
  'view.json',
  'view.json.new',
  'workloads.json',
  'workloads.json.new',
  'wireguard.key',
  'wireguard.key.new',
]

/**
 * The bit of a connection's mark (ct mark) that says: a policy has been tightened, this one is cut. Of the programs that are
 * seen beside us, Tailscale takes 0x00ff0000, kube-proxy 0x0000c000 (of packets), Cilium 0x00000f00 and 0x0000ff00, Amazon's
 * network 0x00000080; Calico may take 0xffff0000, but it is a network of its own and not beside us.
 */
export const CUT_CONNECTION_MARK = 0x1000_0000

/** The group of NFLOG to which policies log what they drop: "br" in ASCII. */
export const DROP_LOG_GROUP = 0x6272

export interface MarkedLink {
  readonly name: string
  readonly kind: string
  readonly group: number
  readonly alias?: string
}

/** Two marks must be there, since a name alone may be chance: besides the name our group or, should somebody have changed that, our record. */
export function isPodLink(link: MarkedLink): boolean {
  if (link.kind !== 'veth' || !HOST_LINK_NAME.test(link.name)) return false
  return link.group === LINK_GROUP.pods || link.group === LINK_GROUP.condemned || recordOf(link) !== undefined
}

/** One of ours that somebody has renamed: the record in its alias stays with it. */
export function isRenamedPodLink(link: MarkedLink): boolean {
  return link.kind === 'veth' && !isPodLink(link) && parseAlias(link.alias ?? '') !== undefined
}

/** @returns undefined where the alias is no record, or that of another link */
export function recordOf(link: MarkedLink): AttachmentRecord | undefined {
  const record = parseAlias(link.alias ?? '')
  return record && hostLinkName(record.containerId, record.ifname) === link.name ? record : undefined
}
