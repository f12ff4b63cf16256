import { AddressError, familyOf, formatAddress, parseAddress } from '../ipam/address.ts'
import { type HostPort, PROTOCOLS, portInWords } from '../ipam/host-port.ts'
import { CNI_ERROR, CniError } from './errors.ts'
import { isObject, lowerKeys, quote } from './json.ts'

/** The runtime's `portMappings`, with the keys of Go or of the documentation: case says nothing. Pure. */

const PORT_MAX = 65_535
/** Each is a name of the pod's link, which the kernel tells whenever it tells of the link. */
const HOST_PORTS_MAX = 128

/**
 * @returns those with a hostPort; without one nothing is asked of the node
 * @throws CniError that names the field
 */
export function parsePortMappings(json: unknown): HostPort[] {
  const list = json ?? [] // Go's null is an empty one
  if (!Array.isArray(list)) throw refusal('runtimeConfig.portMappings', list, 'give a list of mappings')
  const ports = list.flatMap((entry, index) => parseMapping(entry, `runtimeConfig.portMappings[${index}]`) ?? [])
  if (ports.length > HOST_PORTS_MAX)
    throw new CniError(
      CNI_ERROR.invalidConfig,
      `the pod asks for ${ports.length} ports of the node`,
      `at most ${HOST_PORTS_MAX} are possible; a pod with hostNetwork has all of them`,
    )
  for (const [index, port] of ports.entries())
    if (ports.slice(0, index).some((other) => isSame(port, other)))
      throw new CniError(
        CNI_ERROR.invalidConfig,
        `the pod asks for ${portInWords(port)} twice`,
        'give each of its hostPorts another number',
      )
  return ports
}

function parseMapping(json: unknown, field: string): HostPort | undefined {
  if (!isObject(json)) throw refusal(field, json, 'give an object with hostPort, containerPort and protocol')
  const lower = lowerKeys(json)
  const hostPort = lower.hostport ?? 0
  if (hostPort === 0) return undefined
  return {
    protocol: parseProtocol(lower.protocol, `${field}.protocol`),
    hostIp: parseHostIp(lower.hostip ?? '', `${field}.hostIP`),
    hostPort: parsePort(hostPort, `${field}.hostPort`),
    containerPort: parsePort(lower.containerport, `${field}.containerPort`),
  }
}

function parsePort(value: unknown, field: string): number {
  if (typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= PORT_MAX) return value
  throw refusal(field, value, `use a whole number from 1 to ${PORT_MAX}`)
}

function parseProtocol(value: unknown, field: string): HostPort['protocol'] {
  const wanted = typeof value === 'string' ? value.toLowerCase() : value
  const protocol = PROTOCOLS.find((known) => known === wanted)
  if (protocol) return protocol
  throw refusal(field, value, `use one of ${PROTOCOLS.join(', ')}`)
}

function parseHostIp(value: unknown, field: string): string {
  if (value === '') return ''
  const remedy = 'use an address of the node, or leave it out for all of them'
  if (typeof value !== 'string') throw refusal(field, value, remedy)
  try {
    const number = parseAddress(value)
    // `::ffff:192.0.2.1` is IPv4 for Go, and so for kubelet and portmap; no packet has it as its destination.
    const isMapped = familyOf(value) === 6 && number >> 32n === 0xffffn
    return isMapped ? formatAddress(4, number & 0xffff_ffffn) : formatAddress(familyOf(value), number)
  } catch (error) {
    if (error instanceof AddressError) throw refusal(field, value, remedy)
    throw error
  }
}

/** They would be one and the same entry in the kernel: what is for any address is so for each family. */
function isSame(a: HostPort, b: HostPort): boolean {
  if (a.protocol !== b.protocol || a.hostPort !== b.hostPort) return false
  const wildcards = ['0.0.0.0', '::']
  return (
    a.hostIp === b.hostIp ||
    (a.hostIp === '' && wildcards.includes(b.hostIp)) ||
    (b.hostIp === '' && wildcards.includes(a.hostIp))
  )
}

function refusal(field: string, value: unknown, remedy: string): CniError {
  const shown = value === undefined ? 'missing' : quote(value)
  return new CniError(CNI_ERROR.invalidConfig, `${field} is ${shown}`, remedy)
}
