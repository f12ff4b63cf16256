import { undotted } from '../../ipam/address.ts'

const MARK = /#([0-9a-f]{8})"$/
/** IPPROTO_* in include/uapi/linux/in.h, by the names that nft has for them. */
const PROTOCOL_NUMBERS: Readonly<Record<string, string>> = { tcp: '6', udp: '17', sctp: '132' }

/**
 * What of the table can be compared: of rules the marks in our comments, as versions of `nft` print the same rules
 * differently; of sets and maps names and types; in one order, as chains that came later are listed later. A line that is
 * not ours (a rule that somebody put in, `flags dormant`) stays as it is, and makes the difference. Elements are not in it. Pure.
 * @param text as `nft` lists the table, or as it is rendered
 * @returns '' for no table
 */
export function outline(text: string): string {
  const { table, blocks } = parse(text)
  return [...table, ...blocks.map((lines) => lines.join('\n')).sort()].join('\n')
}

/** A chain's part of it. */
export interface ChainOutline {
  /** '' for one that is jumped to. */
  readonly hook: string
  readonly rules: string
}

/** By the names of the chains. Pure. */
export function chainOutlines(text: string): Map<string, ChainOutline> {
  return new Map(
    parse(text).blocks.flatMap(([head = '', ...lines]) => {
      const [, name] = /^chain (\S+) \{$/.exec(head) ?? []
      if (name === undefined) return []
      const hook = lines.filter((line) => line.startsWith('type ')).join()
      return [[name, { hook, rules: lines.filter((line) => !line.startsWith('type ')).join('\n') }]]
    }),
  )
}

/** Each block with its head; and what is in none. */
function parse(text: string): { readonly table: readonly string[]; readonly blocks: readonly (readonly string[])[] } {
  const table: string[] = []
  const blocks: string[][] = []
  let block = table
  for (const spaced of text.split('\n')) {
    const line = spaced.trim()
    if (line.startsWith('table ')) table.push(line)
    else if (line.endsWith('{')) blocks.push((block = [line]))
    else if (line === '}') block = table
    else if (isCompared(line, block)) block.push(MARK.exec(line)?.[1] ?? line)
  }
  return { table, blocks }
}

/** A set cannot be changed while rules look into it, and what else is printed of one depends on the version. */
function isCompared(line: string, [head = '']: readonly string[]): boolean {
  if (line === '' || /^(add|delete) table /.test(line)) return false
  if (/^(set|map) /.test(head)) return line.startsWith('type ')
  return !head.startsWith('counter ')
}

/**
 * An element as we write it, from what libnftables lists in JSON: of a map the key and the chain, of a set the chain is ''.
 * @returns undefined for what we never write
 */
export function listedElement(listed: unknown): readonly [element: string, chain: string] | undefined {
  if (!Array.isArray(listed)) {
    const element = textOf(listed)
    return element === undefined ? undefined : [element, '']
  }
  const [key, verdict] = listed
  const element = textOf(key)
  const chain = verdict?.jump?.target
  return element === undefined || typeof chain !== 'string' ? undefined : [element, chain]
}

function textOf(listed: unknown): string | undefined {
  if (typeof listed === 'string' || typeof listed === 'number') return undotted(String(listed))
  if (typeof listed !== 'object' || listed === null) return undefined
  const { elem, concat, prefix, range } = listed as Listed
  if (elem) return textOf(elem.val) // somebody has added a comment
  if (concat) return concat.map((part) => PROTOCOL_NUMBERS[part] ?? undotted(String(part))).join(' . ')
  if (prefix) return `${prefix.addr}/${prefix.len}`
  return range?.join('-')
}

interface Listed {
  readonly elem?: { readonly val: unknown }
  readonly concat?: readonly (string | number)[]
  readonly prefix?: { readonly addr: string; readonly len: number }
  readonly range?: readonly string[]
}
