import { isIP } from 'node:net'
import { UsageError } from './usage-error.ts'

/** Whom somebody asks about on the command line, in the words of the agent. Pure. */

const HOW = 'write NAMESPACE/POD, node/NAME, an address, or world'
const NAME = '[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?'
const PROTOCOLS: readonly string[] = ['TCP', 'UDP', 'SCTP', 'ICMP']

export interface AskedPort {
  /** Absent for ICMP. */
  readonly PORT?: string
  readonly PROTOCOL: string
}

/** @throws UsageError */
export function parseEnd(text: string): string {
  if (text === 'world') return text
  const address = /^\[(.*)\]$/.exec(text)?.[1] ?? text
  if (isAddress(address)) return `address ${address}`
  const [, kind = '', first = '', second = ''] =
    new RegExp(`^(?:(pod|node)/)?(${NAME})(?:/(${NAME}))?$`).exec(text) ?? []
  if (kind === 'node' && first !== '' && second === '') return `node ${first}`
  // As kubectl has it, pod/NAME is one of the namespace default.
  if (kind === 'pod' && first !== '') return second === '' ? `pod default/${first}` : `pod ${first}/${second}`
  if (kind === '' && second !== '') return `pod ${first}/${second}`
  throw new UsageError(`"${text}" is no pod, node or address: ${HOW}`)
}

/** @throws UsageError */
export function parsePod(text: string): string {
  const end = parseEnd(text)
  if (end.startsWith('pod ')) return end.slice('pod '.length)
  throw new UsageError(`"${text}" is no pod: write NAMESPACE/POD`)
}

/** DST[:PORT[/PROTO]]; an IPv6 address before a port stands in brackets. @throws UsageError */
export function parseTarget(text: string): { readonly to: string; readonly port: AskedPort | undefined } {
  if (isAddress(text)) return { to: parseEnd(text), port: undefined }
  const [, end = '', port] = /^(\[.*\]|[^:]*)(?::(.*))?$/s.exec(text) ?? []
  if (end === '' || (end !== text && !end.startsWith('[') && port?.includes(':')))
    throw new UsageError(`"${text}": an IPv6 address before a port stands in brackets: [fd42::7]:80/TCP`)
  return { to: parseEnd(end), port: port === undefined ? undefined : parsePort(port) }
}

/** Without a zone, which belongs to one node only. */
function isAddress(text: string): boolean {
  return isIP(text) !== 0 && !text.includes('%')
}

/** PORT[/PROTO], or icmp. @throws UsageError */
export function parsePort(text: string): AskedPort {
  const how = 'write it like 80, http, 53/UDP or icmp'
  if (text.toUpperCase() === 'ICMP') return { PROTOCOL: 'ICMP' }
  const [, port = '', protocolText = 'TCP'] = /^([a-z0-9-]*)(?:\/([a-z]+))?$/i.exec(text) ?? []
  const PROTOCOL = protocolText.toUpperCase()
  if (!PROTOCOLS.includes(PROTOCOL))
    throw new UsageError(`"${protocolText}" is no protocol; TCP, UDP, SCTP and ICMP are known`)
  if (PROTOCOL === 'ICMP') {
    if (port === '' || port === '0') return { PROTOCOL }
    throw new UsageError(`"${text}": ICMP has no ports; write icmp`)
  }
  const isNumber = /^\d+$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535
  // RFC 6335, section 5.1
  const isName = /^(?=.*[a-z])[a-z0-9-]{1,15}$/.test(port)
  if (!isNumber && !isName) throw new UsageError(`"${text}" is no port: ${how}`)
  return { PORT: port, PROTOCOL }
}
