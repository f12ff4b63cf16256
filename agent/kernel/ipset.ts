import { existsSync } from 'node:fs'
import { attribute, readAttributes, readText, u8 } from './attributes.ts'
import { Netlink } from './netlink.ts'
import { NETLINK_PROTOCOL } from './netlink-socket.ts'

/** Sets of addresses that rules of iptables look into; nftables has its own. */

// include/uapi/linux/netfilter/nfnetlink.h, ipset/ip_set.h
const NFNL_SUBSYS_IPSET = 6
const IPSET_PROTOCOL_MIN = 6
const IPSET_CMD_LIST = 7
const IPSET_ATTR_PROTOCOL = 1
const IPSET_ATTR_SETNAME = 2
const IPSET_ATTR_FLAGS = 6
const IPSET_FLAG_LIST_SETNAME = 1 << 1
const NLA_F_NET_BYTEORDER = 0x4000
/** struct nfgenmsg */
const INFO_BYTES = 4

/** @returns none where the kernel has no such sets: asking it would load the module. @throws KernelError */
export async function listIpsets(): Promise<string[]> {
  if (!existsSync('/sys/module/ip_set')) return []
  const netlink = new Netlink(NETLINK_PROTOCOL.netfilter)
  try {
    const messages = await netlink.dump({
      name: 'ipset list -n',
      type: (NFNL_SUBSYS_IPSET << 8) | IPSET_CMD_LIST,
      body: Buffer.concat([
        Buffer.alloc(INFO_BYTES),
        u8(IPSET_ATTR_PROTOCOL, IPSET_PROTOCOL_MIN),
        attribute(IPSET_ATTR_FLAGS | NLA_F_NET_BYTEORDER, Uint8Array.of(0, 0, 0, IPSET_FLAG_LIST_SETNAME)),
      ]),
    })
    return messages.flatMap(
      ({ body }) => readText(readAttributes(body.subarray(INFO_BYTES)).get(IPSET_ATTR_SETNAME)) ?? [],
    )
  } finally {
    netlink.close()
  }
}
