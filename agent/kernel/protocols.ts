import { ADDRESS_BITS, addressOf, type Family } from '../../ipam/address.ts'
import { AF } from './addresses.ts'
import { readAttributes, readText, readU32 } from './attributes.ts'
import { KernelError } from './errors.ts'
import type { NetlinkMessage, NetlinkRequest } from './message.ts'
import type { Netlink } from './netlink.ts'
import { anyAddress, RT_TABLE_MAIN, RTM_DELROUTE } from './routes.ts'

/*
 * Routes and rules by the protocol that they carry, in every table and of whatever shape: a later version may have made
 * some that this one does not know. So each is deleted by the very message it was listed with, as `ip route flush` does.
 */

// include/uapi/linux/rtnetlink.h, fib_rules.h
const RTM_GETROUTE = 26
const RTM_DELRULE = 33
const RTM_GETRULE = 34
const RTA_DST = 1
const RTA_OIF = 4
const RTA_GATEWAY = 5
const RTA_PRIORITY = 6
const RTA_TABLE = 15
const RTM_F_CLONED = 0x200
const ROUTE_TYPES = ['', '', 'local', 'broadcast', 'anycast', 'multicast', 'blackhole', 'unreachable', 'prohibit']
const FRA_DST = 1
const FRA_SRC = 2
const FRA_IIFNAME = 3
const FRA_PRIORITY = 6
const FRA_FWMARK = 10
const FRA_TABLE = 15
const FRA_OIFNAME = 17
const FRA_PROTOCOL = 21
const FR_ACT_TO_TBL = 1
const FIB_RULE_INVERT = 2
/** struct rtmsg and struct fib_rule_hdr */
const INFO_BYTES = 12

export interface Marked {
  /** In the words of `ip`: `10.42.0.7 dev brm0123456789ab proto 98`. */
  readonly text: string
  readonly deletion: NetlinkRequest
}

/** @param linkNames by index @throws KernelError */
export async function listRoutesOf(
  netlink: Netlink,
  protocols: readonly number[],
  linkNames: ReadonlyMap<number, string>,
): Promise<Marked[]> {
  const messages = await dumpBoth(netlink, 'route show table all', RTM_GETROUTE)
  return messages.flatMap(({ family, message: { body } }) => {
    if (!protocols.includes(body[5] ?? 0) || body.readUInt32LE(8) & RTM_F_CLONED) return []
    const text = routeText(family, body, linkNames)
    return [{ text, deletion: { name: `route delete ${text}`, type: RTM_DELROUTE, body } }]
  })
}

/** In the kernel's order, in which they have to be deleted: of two alike the first one goes. @throws KernelError */
export async function listRulesOf(netlink: Netlink, protocols: readonly number[]): Promise<Marked[]> {
  const messages = await dumpBoth(netlink, 'rule show', RTM_GETRULE)
  return messages.flatMap(({ family, message: { body } }) => {
    const attributes = readAttributes(body.subarray(INFO_BYTES))
    if (!protocols.includes(attributes.get(FRA_PROTOCOL)?.[0] ?? 0)) return []
    const text = ruleText(family, body, attributes)
    return [{ text, deletion: { name: `rule delete ${text}`, type: RTM_DELRULE, body } }]
  })
}

async function dumpBoth(netlink: Netlink, name: string, type: number) {
  const found: { readonly family: Family; readonly message: NetlinkMessage }[] = []
  for (const family of [4, 6] as const) {
    const info = Buffer.alloc(INFO_BYTES)
    info[0] = AF[family]
    try {
      const messages = await netlink.dump({ name: `-${family} ${name}`, type, body: info })
      // A kernel without IPv6 answers for the family that it has.
      found.push(...messages.flatMap((message) => (message.body[0] === AF[family] ? [{ family, message }] : [])))
    } catch (error) {
      const isAbsent = error instanceof KernelError && ['EAFNOSUPPORT', 'EOPNOTSUPP'].includes(error.errno)
      if (!isAbsent) throw error
    }
  }
  return found
}

function routeText(family: Family, body: Buffer, linkNames: ReadonlyMap<number, string>): string {
  const attributes = readAttributes(body.subarray(INFO_BYTES))
  const type = ROUTE_TYPES[body[7] ?? 0] ?? `type ${body[7]}`
  const gateway = attributes.get(RTA_GATEWAY)
  const oif = readU32(attributes.get(RTA_OIF))
  const table = readU32(attributes.get(RTA_TABLE)) ?? body[4]
  const metric = readU32(attributes.get(RTA_PRIORITY))
  return words(
    type,
    prefix(family, attributes.get(RTA_DST), body[1] ?? 0),
    gateway && `via ${addressOf(gateway)}`,
    // IPv6 blackholes are on the loopback link, which says nothing.
    oif !== undefined && (type === '' || family === 4) && `dev ${linkNames.get(oif) ?? oif}`,
    table !== RT_TABLE_MAIN && `table ${table}`,
    `proto ${body[5]}`,
    metric !== undefined && `metric ${metric}`,
  )
}

function ruleText(family: Family, body: Buffer, attributes: ReadonlyMap<number, Buffer>): string {
  const destination = attributes.get(FRA_DST)
  const source = attributes.get(FRA_SRC)
  const mark = readU32(attributes.get(FRA_FWMARK))
  const [iif, oif] = [FRA_IIFNAME, FRA_OIFNAME].map((type) => readText(attributes.get(type)))
  return words(
    `${readU32(attributes.get(FRA_PRIORITY)) ?? 0}:`,
    body.readUInt32LE(8) & FIB_RULE_INVERT && 'not',
    source ? `from ${prefix(family, source, body[2] ?? 0)}` : `from ${family === 4 ? 'all' : '::/0'}`,
    destination && `to ${prefix(family, destination, body[1] ?? 0)}`,
    mark && `fwmark 0x${mark.toString(16)}`,
    iif && `iif ${iif}`,
    oif && `oif ${oif}`,
    body[7] === FR_ACT_TO_TBL ? `lookup ${readU32(attributes.get(FRA_TABLE)) ?? body[4]}` : `action ${body[7]}`,
    `proto ${attributes.get(FRA_PROTOCOL)?.[0]}`,
  )
}

/** A single host without its length, as `ip` writes it. */
function prefix(family: Family, address: Buffer | undefined, length: number): string {
  const text = address ? addressOf(address) : anyAddress(family)
  return length === ADDRESS_BITS[family] ? text : `${text}/${length}`
}

function words(...parts: readonly (string | number | false | undefined)[]): string {
  return parts.filter((part) => typeof part === 'string' && part !== '').join(' ')
}
