import { closeSync } from 'node:fs'
import type { Family } from '../../ipam/address.ts'
import { AF } from './addresses.ts'
import { bind, SystemError } from './libc.ts'

// include/linux/net.h, include/uapi/linux/in.h, include/uapi/linux/netfilter_ipv4/ip_tables.h
const SOCK_RAW = 3
const SOCK_CLOEXEC = 0o2000000
const IPPROTO_RAW = 255
const LEVEL = { 4: 0, 6: 41 } as const
/** IPT_SO_GET_INFO, IP6T_SO_GET_INFO */
const GET_INFO = 64
/** struct ipt_getinfo: name[32], valid_hooks, hook_entry[5], underflow[5], num_entries, size */
const INFO_BYTES = 84
const NAME_BYTES = 32
const ENTRIES_AT = 76

const socket = bind<[number, number, number]>('int socket(int domain, int type, int protocol)')
const getsockopt = bind<[number, number, number, Buffer, Buffer]>(
  'int getsockopt(int fd, int level, int name, _Inout_ uint8_t *value, _Inout_ uint8_t *length)',
)

/**
 * Whether somebody has put rules or chains into a table of iptables-legacy, which is there, and empty, as soon as
 * anybody has looked at it.
 * @param table of those in /proc/net/ip_tables_names: asking for another one makes it
 */
export function hasLegacyRules(family: Family, table: string): boolean {
  const fd = socket(AF[family], SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW)
  try {
    const info = Buffer.alloc(INFO_BYTES)
    info.write(table, 0, NAME_BYTES - 1, 'latin1')
    const length = Buffer.alloc(4)
    length.writeUInt32LE(INFO_BYTES)
    getsockopt(fd, LEVEL[family], GET_INFO, info, length)
    // An empty one has the policy of each of its hooks, and a mark at its end.
    const hooks = info.readUInt32LE(NAME_BYTES).toString(2).replaceAll('0', '').length
    return info.readUInt32LE(ENTRIES_AT) > hooks + 1
  } catch (error) {
    if (error instanceof SystemError) return false // gone meanwhile
    throw error
  } finally {
    closeSync(fd)
  }
}
