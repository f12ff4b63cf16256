import { createHash } from 'node:crypto'
import type { Family } from '../../ipam/address.ts'

/** Tables as `nft` writes them. */

/** A table that is made in one transaction, and made anew where its rules are others. */
export interface DefinedTable {
  /** As `nft` lists it, without elements. */
  readonly definition: string
}

/** @param what of the packets, for people. The mark behind it tells this rule from any other, whatever `nft` makes of its text. */
export function rule(text: string, what: string): string {
  return `${text} comment "${what} #${createHash('sha256').update(text).digest('hex').slice(0, 8)}"`
}

export function block(head: string, lines: readonly string[]): string[] {
  return [`${head} {`, ...lines.map((line) => `\t${line}`), '}']
}

/** What a rule calls the headers of a family. */
export function ip(family: Family): string {
  return family === 4 ? 'ip' : 'ip6'
}

/** Commands after which the table is not there, whether it was or not. @param table family and name */
export function withoutTable(table: string): string[] {
  return [`add table ${table}`, `delete table ${table}`]
}

/** The table anew, in one transaction: not a packet meets the old one gone and the new one not yet there. */
export function renderTable(table: string, { definition }: DefinedTable): string {
  return [...withoutTable(table), definition.trimEnd()].join('\n')
}
