import type { NetlinkMessage } from './message.ts'
import { type EventListener, NetlinkEvents } from './netlink.ts'
import { onlyWhere } from './netlink-filter.ts'

// include/uapi/linux/rtnetlink.h, netconf.h
export const RTM_NEWNETCONF = 80
const RTNLGRP_IPV4_NETCONF = 24
const RTNLGRP_IPV6_NETCONF = 25
/** struct nlmsghdr, struct netconfmsg, the attribute of the link (always the first) and one of a setting. */
const ONE_SETTING_BYTES = 16 + 4 + 8 + 8
const VALUE_OFFSET = 32
/** In the body, which begins after the header. */
const LINK_OFFSET = 8

/**
 * Tells of links' settings that are set to something else than 1: rp_filter, forwarding, proxy_arp, proxy_ndp (no events
 * tell of others). The rest stays in the kernel, as what a new link begins with, and what ADD sets.
 */
export function watchLinkSettings(listener: EventListener): NetlinkEvents {
  const isOther = onlyWhere({ bytes: ONE_SETTING_BYTES, offset: VALUE_OFFSET, isNot: 1 })
  return new NetlinkEvents([RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF], [listener], { filter: isOther })
}

/** The link that an RTM_NEWNETCONF is about; negative for the settings `all` and `default`. */
export function settingLinkOf({ body }: NetlinkMessage): number {
  return body.readInt32LE(LINK_OFFSET)
}
