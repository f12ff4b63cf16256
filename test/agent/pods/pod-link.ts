import { type AttachmentRecord, formatAlias } from '../../../agent/alias.ts'
import type { Link } from '../../../agent/kernel/links.ts'
import { hostLinkName, LINK_GROUP } from '../../../agent/ownership.ts'

/** A finished attachment's link on the node, number 7, but for the change. */
export function podLink(record: AttachmentRecord, change: Partial<Link> = {}): Link {
  return {
    index: 7,
    name: hostLinkName(record.containerId, record.ifname),
    kind: 'veth',
    mtuBytes: 1450,
    mac: 'ee:ee:ee:ee:ee:ee',
    isUp: true,
    isRunning: true,
    isPointToPoint: false,
    group: LINK_GROUP.pods,
    alias: formatAlias(record),
    peerIndex: 2,
    altNames: [],
    parameters: Buffer.alloc(0),
    ...change,
  }
}
