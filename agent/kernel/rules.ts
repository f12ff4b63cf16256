import { ADDRESS_BITS, addressBytes, addressOf, type Family, familyOf } from '../../ipam/address.ts'
import { AF } from './addresses.ts'
import { attribute, readAttributes, readU32, u32 } from './attributes.ts'
import type { KernelError } from './errors.ts'
import { type NetlinkMessage, type NetlinkRequest, NLM_F_CREATE, NLM_F_EXCL } from './message.ts'
import type { Netlink } from './netlink.ts'

// include/uapi/linux/rtnetlink.h, fib_rules.h
export const RTM_NEWRULE = 32
export const RTM_DELRULE = 33
const RTM_GETRULE = 34
const FRA_SRC = 2
const FRA_PRIORITY = 6
const FRA_FWMARK = 10
const FRA_TABLE = 15
const FRA_PROTOCOL = 21
const FR_ACT_TO_TBL = 1
const INFO_BYTES = 12
/** RT_TABLE_LOCAL, RT_TABLE_MAIN, RT_TABLE_DEFAULT, with the priority of each. */
const DEFAULT_RULES: ReadonlyMap<number, number> = new Map([
  [255, 0],
  [254, 32_766],
  [253, 32_767],
])

/** Packets from one address look up their route in a table of their own. */
export interface Rule {
  readonly from: string
  readonly table: number
  readonly priority: number
  readonly protocol: number
}

export function addRule(rule: Rule): NetlinkRequest {
  return {
    ...ruleMessage('add', familyOf(rule.from), rule, rule.from),
    type: RTM_NEWRULE,
    flags: NLM_F_CREATE | NLM_F_EXCL,
  }
}

/** Deletes the first rule like this, whatever its address; ENOENT when there is none. */
export function deleteRuleLike(family: Family, rule: Omit<Rule, 'from'>): NetlinkRequest {
  return { ...ruleMessage('delete', family, rule), type: RTM_DELRULE }
}

/** The rules that look at one source address alone. */
export async function listRules(netlink: Netlink, family: Family): Promise<Rule[]> {
  const messages = await dumpRules(netlink, family)
  return messages.flatMap(({ body }) => {
    const attributes = readAttributes(body.subarray(INFO_BYTES))
    const from = attributes.get(FRA_SRC)
    if (!from || body[2] !== ADDRESS_BITS[family] || body[7] !== FR_ACT_TO_TBL) return []
    return [
      {
        from: addressOf(from),
        table: readU32(attributes.get(FRA_TABLE)) ?? body[4] ?? 0,
        priority: readU32(attributes.get(FRA_PRIORITY)) ?? 0,
        protocol: attributes.get(FRA_PROTOCOL)?.[0] ?? 0,
      },
    ]
  })
}

/** What sends packets to a table, by whatever it looks at. */
export interface TableRule extends Pick<Rule, 'table' | 'priority' | 'protocol'> {
  /** Of the packet; 0: it does not look at it. */
  readonly mark: number
}

/** All but those that each namespace has at first. @throws KernelError */
export async function listTableRules(netlink: Netlink, family: Family): Promise<TableRule[]> {
  const messages = await dumpRules(netlink, family)
  return messages
    .filter((message) => !isDefaultRule(message) && message.body[7] === FR_ACT_TO_TBL)
    .map(({ body }) => {
      const attributes = readAttributes(body.subarray(INFO_BYTES))
      return {
        table: readU32(attributes.get(FRA_TABLE)) ?? body[4] ?? 0,
        priority: readU32(attributes.get(FRA_PRIORITY)) ?? 0,
        protocol: attributes.get(FRA_PROTOCOL)?.[0] ?? 0,
        mark: readU32(attributes.get(FRA_FWMARK)) ?? 0,
      }
    })
}

/** Do the routes of the main table alone not tell where a packet goes? @throws KernelError */
export async function hasMoreThanDefaultRules(netlink: Netlink): Promise<boolean> {
  const [rules4, rules6] = await Promise.all([dumpRules(netlink, 4), dumpRules(netlink, 6)])
  return [...rules4, ...rules6].some((rule) => !isDefaultRule(rule))
}

/** As each namespace has them at first, for all packets: local at 0, main at 32766, default at 32767. */
function isDefaultRule({ body }: NetlinkMessage): boolean {
  const attributes = readAttributes(body.subarray(INFO_BYTES))
  const table = readU32(attributes.get(FRA_TABLE)) ?? body[4] ?? 0
  const priority = readU32(attributes.get(FRA_PRIORITY)) ?? 0
  const selectsAll = body[1] === 0 && body[2] === 0 && body[3] === 0 && !attributes.has(FRA_FWMARK)
  return selectsAll && DEFAULT_RULES.get(table) === priority
}

/** @returns none where the kernel was built without rules */
async function dumpRules(netlink: Netlink, family: Family): Promise<NetlinkMessage[]> {
  const info = Buffer.alloc(INFO_BYTES)
  info[0] = AF[family]
  try {
    return await netlink.dump({ name: `-${family} rule show`, type: RTM_GETRULE, body: info })
  } catch (error) {
    if (['EOPNOTSUPP', 'EAFNOSUPPORT'].includes((error as Partial<KernelError>).errno ?? '')) return []
    throw error
  }
}

function ruleMessage(verb: string, family: Family, rule: Omit<Rule, 'from'>, from?: string) {
  const info = Buffer.alloc(INFO_BYTES)
  info[0] = AF[family]
  info[2] = from ? ADDRESS_BITS[family] : 0
  info[7] = FR_ACT_TO_TBL
  return {
    name: `-${family} rule ${verb}${from ? ` from ${from}` : ''} lookup ${rule.table}`,
    body: Buffer.concat([
      info,
      ...(from ? [attribute(FRA_SRC, addressBytes(from))] : []),
      u32(FRA_PRIORITY, rule.priority),
      u32(FRA_TABLE, rule.table),
      attribute(FRA_PROTOCOL, Uint8Array.of(rule.protocol)),
    ]),
  }
}
