import { isAbsolute } from 'node:path'
import {
  ADDRESS_BITS,
  AddressError,
  type Cidr,
  familyOf,
  formatAddress,
  parseAddress,
  parseCidr,
} from '../../ipam/address.ts'
import { reservedFromNodes, reservedFromPods } from '../../ipam/reserved.ts'

/** What options are checked for; each throws OptionError with the option's name and what to write instead. Pure. */

const MTU_BYTES_MAX = 65_535
/** RFC 8200, section 5. */
const MTU_BYTES_MIN_IPV6 = 1280

/** An option is wrong; the message names it and what to write instead. */
export class OptionError extends Error {
  override readonly name = 'OptionError'
  readonly code = 'OPTION' as const
}

export function whole(option: string, number: unknown, least: number, most: number): number {
  if (typeof number !== 'number' || !Number.isInteger(number) || number < least || number > most)
    throw new OptionError(`${option} must be a whole number from ${least} to ${most}`)
  return number
}

/** Of an option that is given twice yargs makes a list, and the file can hold anything. */
export function once<Text extends string>(option: string, value: Text): Text {
  if (typeof value !== 'string') throw new OptionError(`${option} is ${JSON.stringify(value)}; give it once, as text`)
  return value
}

export function absolute(option: string, given: string): string {
  const path = once(option, given)
  if (!isAbsolute(path)) throw new OptionError(`${option} "${path}" is not an absolute path`)
  return path
}

/** RFC 1123, as Kubernetes asks of node names. */
export function nodeName(name: string): string {
  const lower = name.toLowerCase()
  if (!/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(lower))
    throw new OptionError(`--node-name "${name}" is no host name; use letters, digits, "-" and "."`)
  return lower
}

/** A switch: alone it is on; a file may have a boolean. */
export function flag(option: string, value: unknown): boolean {
  if (value === '' || value === 'true' || value === true) return true
  if (value === 'false' || value === false) return false
  throw new OptionError(`${option} is ${JSON.stringify(value)}; write true or false`)
}

type Given = readonly (string | number)[] | undefined

/** Repeated flags, a list in the file, separated by commas in the environment. */
function texts(given: Given): string[] {
  return [given ?? []]
    .flat()
    .flatMap((text) => String(text).split(/[\s,]+/))
    .filter((text) => text !== '')
}

function each<T>(option: string, given: Given, parse: (text: string) => T): T[] {
  return texts(given).map((text) => {
    try {
      return parse(text)
    } catch (error) {
      if (error instanceof AddressError) throw new OptionError(`${option}: ${error.message}`)
      throw error
    }
  })
}

export function cidrs(option: string, given: Given): Cidr[] {
  return each(option, given, parseCidr)
}

/** In order, IPv4 first. */
export function oneOfEachFamily(option: string, given: readonly Cidr[]): Cidr[] {
  for (const family of [4, 6]) {
    const same = given.filter((cidr) => cidr.family === family)
    if (same.length > 1)
      throw new OptionError(
        `${option}: ${same.map(({ text }) => text).join(' and ')} are both IPv${family}; give one of each family`,
      )
  }
  return given.toSorted((a, b) => a.family - b.family)
}

/** `127.0.0.1:9739`, `[::1]:9739`; '' is none. No names: what one stands for changes without a word. */
export function listenAddress(
  option: string,
  given: string,
): { readonly host: string; readonly port: number } | undefined {
  const text = once(option, given)
  if (text === '') return undefined
  const [, ipv6, ipv4, digits] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? []
  const [host, port] = [ipv6 ?? ipv4 ?? '', Number(digits)]
  try {
    if (familyOf(host) === (ipv6 === undefined ? 4 : 6) && port >= 1 && port <= 65_535)
      return { host: formatAddress(familyOf(host), parseAddress(host)), port }
  } catch (error) {
    if (!(error instanceof AddressError)) throw error
  }
  throw new OptionError(
    `${option} "${text}" is no address with a port; write it like 127.0.0.1:9739 or [::1]:9739, or 0.0.0.0:9739 for all`,
  )
}

/** At most one of each family, in canonical form. */
export function nodeAddresses(option: string, given: Given): string[] {
  const found = each(option, given, (text) => formatAddress(familyOf(text), parseAddress(text)))
  if (new Set(found.map(familyOf)).size < found.length)
    throw new OptionError(`${option}: ${found.join(' and ')} are of one family; give one of each`)
  for (const address of found) {
    const reserved = reservedFromNodes(parseCidr(`${address}/${ADDRESS_BITS[familyOf(address)]}`))
    if (reserved)
      throw new OptionError(
        `${option} ${address} is in ${reserved.cidr.text}, ${reserved.why}; give one by which other nodes reach this one`,
      )
  }
  return found
}

/** CIDRs of pods, of one node or of all. */
export function podCidrs(option: string, given: Given): Cidr[] {
  const found = oneOfEachFamily(option, cidrs(option, given))
  for (const cidr of found) {
    if (cidr.prefixLength === (cidr.family === 4 ? 32 : 128))
      throw new OptionError(
        `${option} ${cidr.text} holds no address for a pod: the first one of a CIDR is not given out`,
      )
    const reserved = reservedFromPods(cidr)
    if (reserved)
      throw new OptionError(
        `${option} ${cidr.text} overlaps ${reserved.cidr.text}, ${reserved.why}; take private addresses`,
      )
  }
  return found
}

export function mtu(bytes: number, cidrs: readonly Cidr[]): number {
  if (!Number.isInteger(bytes) || bytes < 0 || bytes > MTU_BYTES_MAX || (bytes > 0 && bytes < 68))
    throw new OptionError(
      `--mtu must be a whole number of bytes from 68 to ${MTU_BYTES_MAX}, or 0 to follow the uplinks`,
    )
  const ipv6 = cidrs.find(({ family }) => family === 6)
  if (ipv6 && bytes > 0 && bytes < MTU_BYTES_MIN_IPV6)
    throw new OptionError(
      `--mtu ${bytes} is too small for the pods of ${ipv6.text}: IPv6 needs at least ${MTU_BYTES_MIN_IPV6}`,
    )
  return bytes
}

/** With whatever password: it is never shown. */
export function redisUrl(text: string | undefined): string {
  if (text === undefined)
    throw new OptionError('--redis-url is missing; give one like redis://192.168.1.10:6379, best as BRAMBLE_REDIS_URL')
  const url = URL.parse(once('--redis-url', text))
  if (!url || !/^rediss?:$/.test(url.protocol) || url.hostname === '')
    throw new OptionError('--redis-url is no address of a Redis; write it like redis://USER:PASSWORD@HOST:6379/0')
  return text
}

/** Options that mean nothing with this datastore had better not be there: who gave them expects something of them. */
export function unsuited(datastore: string, given: Readonly<Record<string, unknown>>): void {
  for (const [home, options] of Object.entries({
    local: ['pod-cidr', 'cluster-dir'],
    kubernetes: ['kubeconfig'],
    redis: ['redis-url', 'redis-ca', 'redis-cert', 'redis-key'],
  }))
    for (const option of options)
      if (home !== datastore && given[option] !== undefined)
        throw new OptionError(
          option === 'pod-cidr'
            ? `--pod-cidr is for --datastore local; with ${datastore} the cluster gives them out`
            : `--${option} is for --datastore ${home}, and this is ${datastore}`,
        )
}
