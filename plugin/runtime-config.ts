import type { HostPort } from '../ipam/host-port.ts'
import { CNI_ERROR, CniError } from './errors.ts'
import { isFilled, isObject, isTextList, lowerKeys } from './json.ts'
import { parsePortMappings } from './port-mappings.ts'

/** What the runtime fills in where a plugin has a capability. Pure. */
export interface RuntimeConfig {
  readonly dns?: Dns
  readonly hostPorts: readonly HostPort[]
}

export interface Dns {
  readonly nameservers?: readonly string[]
  readonly domain?: string
  readonly search?: readonly string[]
  readonly options?: readonly string[]
}

/** What we know and do not do; each with the way to have it. */
const UNSUPPORTED = {
  bandwidth: 'chain the "bandwidth" plugin after bramble and give that one the capability "bandwidth"',
  mac: 'bramble derives the MAC from the container id, and the node sends to that one alone; remove the capability "mac"',
  ips: 'addresses come from the agent\'s --pod-cidr; remove the capability "ips"',
  ipranges: 'addresses come from the agent\'s --pod-cidr; remove the capability "ipRanges"',
} as const

/**
 * containerd writes Go's capitalised keys here, others the documented ones: case says nothing.
 * @throws CniError that names the field
 */
export function parseRuntimeConfig(json: unknown): RuntimeConfig {
  if (!isObject(json)) return { hostPorts: [] }
  const lower = lowerKeys(json)
  for (const [key, remedy] of Object.entries(UNSUPPORTED))
    if (isFilled(lower[key]))
      throw new CniError(
        CNI_ERROR.unsupportedField,
        `runtimeConfig asks for "${key}", which bramble does not do`,
        remedy,
      )
  const dns = parseDns(lower.dns)
  return { ...(dns && { dns }), hostPorts: parsePortMappings(lower.portmappings) }
}

/** @returns undefined when it says nothing */
export function parseDns(json: unknown): Dns | undefined {
  if (!isObject(json)) return undefined
  const { servers, nameservers = servers, searches, search = searches, options, domain } = lowerKeys(json)
  const dns = {
    ...(isTextList(nameservers) && { nameservers }),
    ...(typeof domain === 'string' && domain !== '' && { domain }),
    ...(isTextList(search) && { search }),
    ...(isTextList(options) && { options }),
  }
  return isFilled(dns) ? dns : undefined
}
