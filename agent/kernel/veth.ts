import { attribute, u32 } from './attributes.ts'
import type { NetlinkRequest } from './message.ts'
import { newLink, newLinkHead } from './new-link.ts'

// include/uapi/linux/if_link.h, include/uapi/linux/veth.h
const IFLA_GROUP = 27
const IFLA_NET_NS_FD = 28
const IFLA_NUM_TX_QUEUES = 31
const IFLA_NUM_RX_QUEUES = 32
const VETH_INFO_PEER = 1

/**
 * A veth end has a queue per CPU by default, each with objects in sysfs that cost time to make and to delete, and that
 * only XDP and GRO on veth would use. One, as Calico makes them.
 */
const ONE_QUEUE = [u32(IFLA_NUM_TX_QUEUES, 1), u32(IFLA_NUM_RX_QUEUES, 1)]

export interface NewVethPair {
  readonly name: string
  readonly mtuBytes: number
  readonly mac: string
  readonly group: number
  readonly peer: {
    readonly name: string
    readonly mac: string
    /** An open file descriptor of the peer's network namespace. */
    readonly netnsFd: number
  }
}

/**
 * Both ends in one message, each made in its own namespace: a link that is moved between namespaces costs RCU grace
 * periods. The peer must not carry IFF_UP here (ENOTCONN, drivers/net/veth.c).
 */
export function addVethPair({ name, mtuBytes, mac, group, peer }: NewVethPair): NetlinkRequest {
  const otherEnd = newLinkHead({
    name: peer.name,
    mtuBytes,
    mac: peer.mac,
    attributes: [u32(IFLA_NET_NS_FD, peer.netnsFd), ...ONE_QUEUE],
  })
  return newLink(
    {
      kind: 'veth',
      name,
      mtuBytes,
      mac,
      attributes: [u32(IFLA_GROUP, group), ...ONE_QUEUE],
      words: `peer name ${peer.name}`,
    },
    attribute(VETH_INFO_PEER, otherEnd),
  )
}
