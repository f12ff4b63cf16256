import type { NetlinkMessage } from './message.ts'
import { NetlinkEvents } from './netlink.ts'
import { notCausedByAny, onlyMessagesOf, onlyWithText } from './netlink-filter.ts'
import { NETLINK_PROTOCOL } from './netlink-socket.ts'

// include/uapi/linux/netfilter/nfnetlink.h, nf_tables.h
const NFNLGRP_NFTABLES = 7
const NFNL_SUBSYS_NFTABLES = 10
const NFT_MSG_NEWGEN = 15
/** struct nlmsghdr, struct nfgenmsg, struct nlattr: of all objects the table's name comes first (nf_tables_fill_*_info in nf_tables_api.c). */
const HEADER_BYTES = 16
const TABLE_NAME_OFFSET = HEADER_BYTES + 4 + 4
/** The last message of each transaction: the ruleset has a new generation. */
const NEW_GENERATION = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWGEN

/**
 * Tells whenever somebody else changed the ruleset, or may have: that events were lost counts as a change. Whose change it
 * was is known by the netlink port of its request; the process id in the message is that of a thread, as the outermost
 * process namespace has it, and says nothing to an agent in a container.
 * @param isOurs tells whether a netlink port is ours
 */
export function watchNftables(isOurs: (port: number) => boolean, onForeignChange: () => void): NetlinkEvents {
  // A transaction of ten thousand rules has as many messages, and of interest is only that it was.
  return watch(onlyMessagesOf(NEW_GENERATION), isOurs, () => true, onForeignChange)
}

/**
 * The same for changes in tables whose names begin like this, however they were made: of what other programs do to their
 * own tables nothing is heard.
 * @param beginning of the names, four ASCII characters
 */
export function watchTables(
  beginning: string,
  isOurs: (port: number) => boolean,
  onForeignChange: () => void,
): NetlinkEvents {
  // One datagram has messages about several tables, where one transaction is about them.
  const [start, end] = [TABLE_NAME_OFFSET - HEADER_BYTES, TABLE_NAME_OFFSET - HEADER_BYTES + beginning.length]
  const isMeant = (body: Buffer) => body.toString('latin1', start, end) === beginning
  return watch(onlyWithText(TABLE_NAME_OFFSET, beginning), isOurs, isMeant, onForeignChange)
}

/** Of each of our own ports, which are few and known late, the first message is the last that is heard. */
function watch(
  filter: Buffer,
  isOurs: (port: number) => boolean,
  isMeant: (body: Buffer) => boolean,
  onForeignChange: () => void,
): NetlinkEvents {
  const ours = new Set<number>()
  const onMessage = ({ type, body }: NetlinkMessage, causer: number) => {
    if (type >> 8 !== NFNL_SUBSYS_NFTABLES || !isMeant(body)) return
    if (!isOurs(causer)) onForeignChange()
    else if (!ours.has(causer)) events.accept(notCausedByAny(ours.add(causer), filter))
  }
  const options = { protocol: NETLINK_PROTOCOL.netfilter, filter }
  const events = new NetlinkEvents([NFNLGRP_NFTABLES], [{ onMessage, onGap: onForeignChange }], options)
  return events
}
