import type { HostPort } from '../ipam/host-port.ts'
import { CNI_ERROR, CniError } from './errors.ts'
import { isFilled, isObject, lowerKeys, quote } from './json.ts'
import { type Dns, parseDns, parseRuntimeConfig } from './runtime-config.ts'

export const CNI_VERSIONS = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const
export type CniVersion = (typeof CNI_VERSIONS)[number]

/** What an error says as its version when the configuration has none that we know. */
const FALLBACK_VERSION: CniVersion = '1.1.0'

export interface NetworkConfig {
  readonly cniVersion: CniVersion
  readonly name: string
  /** The pod's MTU in bytes; 0 leaves it to the agent. */
  readonly mtuBytes: number
  /** The result of the plugins before us in the chain, in the form of `cniVersion`. */
  readonly prevResult?: CniResult
  readonly dns?: Dns
  /** Ports of the node that are to lead to the pod; absent where there are none. */
  readonly hostPorts?: readonly HostPort[]
}

/** A result as JSON, of any version; only what we read is typed. */
export interface CniResult {
  readonly interfaces?: readonly Record<string, unknown>[]
  readonly ips?: readonly (Record<string, unknown> & { readonly address: string })[]
  readonly routes?: readonly Record<string, unknown>[]
  readonly dns?: Dns
}

/** As the specification wants names of networks, and ids of containers. */
export const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/
const MTU_BYTES_MIN = 68 // RFC 791
const MTU_BYTES_MAX = 65_535
const FIRST_VERSION = { CHECK: '0.4.0', GC: '1.1.0', STATUS: '1.1.0' } as const
const PREV_RESULT_REMEDY = 'it must be what the plugin before bramble in the chain printed'

/**
 * The network configuration that comes on stdin, as far as the command needs it. Pure.
 * https://github.com/containernetworking/cni/blob/spec-v1.1.0/SPEC.md#section-1-network-configuration-format
 * @throws CniError
 */
export function parseNetworkConfig(stdin: Buffer, command: string): NetworkConfig {
  const json = decode(stdin)
  const cniVersion = parseVersion(json.cniVersion, command)
  const { name, mtu = 0, ipam } = json
  const prevResult = json.prevResult ?? undefined // Go's null is an absent one
  if (typeof name !== 'string' || !NAME.test(name))
    throw new CniError(
      CNI_ERROR.invalidConfig,
      name === undefined ? 'the network configuration has no "name"' : `the network name ${quote(name)} is not valid`,
      'use a letter or digit, then letters, digits, "_", "." and "-"',
    )
  // A DEL must end well, whatever else has become of the configuration since the ADD.
  if (command === 'DEL') return { cniVersion, name, mtuBytes: 0 }
  if (typeof mtu !== 'number' || !Number.isInteger(mtu) || (mtu !== 0 && (mtu < MTU_BYTES_MIN || mtu > MTU_BYTES_MAX)))
    throw new CniError(
      CNI_ERROR.invalidConfig,
      `"mtu" is ${quote(mtu)}`,
      `use a whole number of bytes from ${MTU_BYTES_MIN} to ${MTU_BYTES_MAX}, or 0 for the agent's own`,
    )
  if (isFilled(ipam))
    throw new CniError(
      CNI_ERROR.unsupportedField,
      'the network configuration has "ipam"',
      "remove it: addresses come from the agent's --pod-cidr",
    )
  if (prevResult !== undefined && !isObject(prevResult))
    throw new CniError(CNI_ERROR.invalidConfig, `"prevResult" is ${quote(prevResult)}`, 'it must be a result object')
  const { dns = parseDns(json.dns), hostPorts } = parseRuntimeConfig(lowerKeys(json).runtimeconfig)
  return {
    cniVersion,
    name,
    mtuBytes: mtu,
    ...(prevResult && { prevResult: parsePrevResult(prevResult) }),
    ...(dns && { dns }),
    ...(hostPorts.length > 0 && { hostPorts }),
  }
}

/** @throws CniError that quotes nothing of it */
export function decode(stdin: Buffer): Record<string, unknown> {
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(stdin))
  } catch (error) {
    // V8 quotes what it could not read after a comma; there may be secrets in it.
    const reason = stdin.length === 0 ? 'stdin is empty' : (error as Error).message.replace(/, (\.\.\.)?"[\s\S]*$/, '')
    throw new CniError(
      CNI_ERROR.decode,
      `Cannot read the network configuration: ${reason}`,
      'give one JSON object on stdin',
    )
  }
  if (!isObject(json))
    throw new CniError(CNI_ERROR.decode, `The network configuration is ${quote(json)}`, 'give one JSON object on stdin')
  return json
}

function parseVersion(given: unknown, command: string): CniVersion {
  const wanted = given === undefined || given === '' ? '0.1.0' : given // "none means 0.1.0"
  const version = CNI_VERSIONS.find((known) => known === wanted)
  const first = FIRST_VERSION[command as keyof typeof FIRST_VERSION] ?? CNI_VERSIONS[0]
  const usable = CNI_VERSIONS.slice(CNI_VERSIONS.indexOf(first))
  if (!version || !usable.includes(version))
    throw new CniError(
      CNI_ERROR.incompatibleVersion,
      `cniVersion ${quote(wanted)} is not supported for ${command}`,
      `use one of ${usable.join(', ')}`,
    )
  return version
}

function parsePrevResult(json: Record<string, unknown>): CniResult {
  for (const key of ['interfaces', 'ips', 'routes']) {
    const list = json[key] ?? []
    if (!Array.isArray(list) || !list.every(isObject))
      throw new CniError(CNI_ERROR.invalidConfig, `"prevResult.${key}" is not a list of objects`, PREV_RESULT_REMEDY)
  }
  for (const ip of (json.ips ?? []) as Record<string, unknown>[])
    if (typeof ip.address !== 'string')
      throw new CniError(CNI_ERROR.invalidConfig, '"prevResult.ips" has an entry without "address"', PREV_RESULT_REMEDY)
  return json as CniResult
}

/** The version that an error about this configuration is to be written in. */
export function versionForErrors(stdin: Buffer): CniVersion {
  try {
    const { cniVersion } = decode(stdin)
    return CNI_VERSIONS.find((version) => version === cniVersion) ?? FALLBACK_VERSION
  } catch {
    return FALLBACK_VERSION
  }
}
