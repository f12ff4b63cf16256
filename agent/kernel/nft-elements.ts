import { addressBytes } from '../../ipam/address.ts'
import { attribute, nested, text } from './attributes.ts'
import { parseMac } from './mac.ts'
import type { NetlinkRequest } from './message.ts'

/**
 * Elements of nftables sets and verdict maps, as the kernel takes them: a pod that starts is some elements and no more, and
 * libnftables lists all sets and chains before it adds one (2 ms in a table of 300 sets and 400 chains). Numbers are in
 * network order.
 */

// include/uapi/linux/netfilter/nfnetlink.h, nf_tables.h, include/uapi/linux/netfilter.h
const NFNL_SUBSYS_NFTABLES = 10
const NFNL_MSG_BATCH_BEGIN = 0x10
const NFNL_MSG_BATCH_END = 0x11
const NFT_MSG_NEWSETELEM = 12
const NFT_MSG_DELSETELEM = 14
const NFPROTO = { ip: 2, inet: 1, ip6: 10 } as const
const NFT_JUMP = -3
const NFTA_SET_ELEM_LIST_TABLE = 1
const NFTA_SET_ELEM_LIST_SET = 2
const NFTA_SET_ELEM_LIST_ELEMENTS = 3
const NFTA_LIST_ELEM = 1
const NFTA_SET_ELEM_KEY = 1
const NFTA_SET_ELEM_DATA = 2
const NFTA_DATA_VALUE = 1
const NFTA_DATA_VERDICT = 2
const NFTA_VERDICT_CODE = 1
const NFTA_VERDICT_CHAIN = 2
const NLM_F_CREATE = 0x400
/** include/uapi/linux/if.h */
const IFNAMSIZ = 16
/** One of the longest takes some 100 bytes, and a list is an attribute, of 64 KiB at most. */
const ELEMENTS_PER_MESSAGE = 500

export interface ElementChange {
  readonly verb: 'add' | 'delete'
  /** A set or a map. */
  readonly set: string
  /** Of its keys, as nft writes it: `ipv4_addr . inet_proto . inet_service`. */
  readonly type: string
  /** As nft writes keys, but protocols by number and names without quotes. Of a map with the chain to jump to. */
  readonly elements: Iterable<readonly [key: string, chain: string]>
}

/** Before and behind what belongs together: all of it is carried out, or nothing. */
export const TRANSACTION = {
  begin: { name: 'nft begin', type: NFNL_MSG_BATCH_BEGIN, body: info(0, NFNL_SUBSYS_NFTABLES) },
  end: { name: 'nft commit', type: NFNL_MSG_BATCH_END, body: info(0, NFNL_SUBSYS_NFTABLES) },
} as const satisfies Record<string, NetlinkRequest>

/**
 * What is there already may be added; what is not there may not be deleted.
 * @param table `inet bramble-policy`
 * @throws RangeError for a key that is not of the type
 */
export function elementRequests(table: string, { verb, set, type, elements }: ElementChange): NetlinkRequest[] {
  const [family = '', tableName = ''] = table.split(' ')
  const parts = type.split(' . ')
  const all = Array.from(elements, ([key, chain]) => elementBytes(parts, key, chain))
  const requests: NetlinkRequest[] = []
  for (let start = 0; start < all.length; start += ELEMENTS_PER_MESSAGE)
    requests.push({
      name: `nft ${verb} element ${table} ${set}`,
      type: (NFNL_SUBSYS_NFTABLES << 8) | (verb === 'add' ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM),
      ...(verb === 'add' && { flags: NLM_F_CREATE }),
      body: Buffer.concat([
        info(NFPROTO[family as keyof typeof NFPROTO], 0),
        text(NFTA_SET_ELEM_LIST_TABLE, tableName),
        text(NFTA_SET_ELEM_LIST_SET, set),
        nested(NFTA_SET_ELEM_LIST_ELEMENTS, ...all.slice(start, start + ELEMENTS_PER_MESSAGE)),
      ]),
    })
  return requests
}

/** struct nfgenmsg: family, version, resource. */
function info(family: number, resource: number): Buffer {
  return Buffer.from([family, 0, resource >> 8, resource & 0xff])
}

function elementBytes(parts: readonly string[], key: string, chain: string): Buffer {
  const values = key.split(' . ')
  if (values.length !== parts.length) throw new RangeError(`${key} is no ${parts.join(' . ')}`)
  const value = Buffer.concat(values.map((one, index) => keyBytes(parts[index] ?? '', one)))
  const keyPart = nested(NFTA_SET_ELEM_KEY, attribute(NFTA_DATA_VALUE, value))
  return nested(NFTA_LIST_ELEM, keyPart, ...(chain === '' ? [] : [nested(NFTA_SET_ELEM_DATA, jumpTo(chain))]))
}

function jumpTo(chain: string): Buffer {
  const code = Buffer.alloc(4)
  code.writeInt32BE(NFT_JUMP)
  return nested(NFTA_DATA_VERDICT, attribute(NFTA_VERDICT_CODE, code), text(NFTA_VERDICT_CHAIN, chain))
}

/** Each part of a key begins at a multiple of four bytes: the registers of the kernel's machine. */
function keyBytes(type: string, value: string): Buffer {
  switch (type) {
    case 'ipv4_addr':
    case 'ipv6_addr':
      return addressBytes(value)
    case 'ether_addr':
      return padded(8, parseMac(value))
    case 'ifname':
      return padded(IFNAMSIZ, Buffer.from(value))
    case 'inet_proto':
      return padded(4, Buffer.from([Number(value)]))
    case 'inet_service':
      return padded(4, Buffer.from([Number(value) >> 8, Number(value) & 0xff]))
    default:
      throw new RangeError(`keys of type ${type} are not written here`)
  }
}

function padded(bytes: number, value: Uint8Array): Buffer {
  const buffer = Buffer.alloc(bytes)
  buffer.set(value)
  return buffer
}
