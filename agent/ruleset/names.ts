import { createHash } from 'node:crypto'

/**
 * What of a policy's texts may reach nft: names are hashes, comments are cleaned. Anybody who may write a policy chooses
 * its names and selectors.
 */

/** NFTNL_UDATA_COMMENT_MAXLEN in libnftnl's include/libnftnl/udata.h; that of a set has the same. */
const COMMENT_BYTES_MAX = 128
const MARK_DIGITS = 8
/** 80 bits: nobody finds a selection that gets the name of another one's. */
const NAME_DIGITS = 20

/** A name that only these contents have. */
export function hashOf(...contents: readonly string[]): string {
  return digest(JSON.stringify(contents)).slice(0, NAME_DIGITS)
}

/**
 * A rule with a comment for people, and a mark behind it that tells this rule from any other: versions of nft print
 * rules differently, but not their comments.
 */
export function marked(rule: string, ...what: readonly string[]): string {
  const mark = ` #${digest(rule).slice(0, MARK_DIGITS)}`
  return `${rule} comment "${commentOf(COMMENT_BYTES_MAX - mark.length, ...what)}${mark}"`
}

export function setComment(...what: readonly string[]): string {
  return commentOf(COMMENT_BYTES_MAX, ...what)
}

/** What is too long is cut at the end of the first part: the last one says where, and is short. */
function commentOf(bytesMax: number, first = '', ...rest: readonly string[]): string {
  const end = rest.map((part) => ` ${cleaned(part)}`).join('')
  const whole = cleaned(first) + end
  if (whole.length <= bytesMax) return whole
  return `${cleaned(first).slice(0, Math.max(0, bytesMax - end.length - 3))}...${end}`.slice(0, bytesMax)
}

/** ASCII without what means something between or inside of nft's quotes. */
function cleaned(text: string): string {
  return text.replaceAll(/[^\w ./:=!,()[\]-]/g, '?')
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
