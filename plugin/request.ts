import type { HostPort } from '../ipam/host-port.ts'
import { CNI_ERROR, CniError } from './errors.ts'
import { parsePortMappings } from './port-mappings.ts'

/**
 * From what a runtime gave the plugin (CNI_* variables, stdin) to a request that the agent can trust. Pure.
 * https://github.com/containernetworking/cni/blob/spec-v1.1.0/SPEC.md
 */
export const CNI_VERSIONS = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const
export type CniVersion = (typeof CNI_VERSIONS)[number]

/** What an error says as its version when the configuration has none that we know. */
export const FALLBACK_VERSION: CniVersion = '1.1.0'

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

export interface AttachmentId {
  readonly containerId: string
  readonly ifname: string
}

export type CniRequest =
  | (AttachmentId & {
      readonly command: 'ADD' | 'CHECK'
      readonly netns: string
      /** `namespace/name` of the pod; empty without Kubernetes. */
      readonly pod: string
      /** Tells it from another pod of the same name; absent where the runtime did not tell (containerd does). */
      readonly podUid?: string
      /** The plugin's own namespace is allowed as the container's (CNI_NETNS_OVERRIDE). */
      readonly allowsOwnNetns: boolean
      readonly config: NetworkConfig
    })
  | (AttachmentId & { readonly command: 'DEL'; readonly netns: string; readonly config: NetworkConfig })
  | {
      readonly command: 'GC'
      /** Absent: the runtime named no set, and nothing may change. */
      readonly validAttachments?: readonly AttachmentId[]
      readonly config: NetworkConfig
    }
  | { readonly command: 'STATUS'; readonly config: NetworkConfig }

/** A result as JSON, of any version; only what we read is typed. */
export interface CniResult {
  readonly interfaces?: readonly Record<string, unknown>[]
  readonly ips?: readonly (Record<string, unknown> & { readonly address: string })[]
  readonly routes?: readonly Record<string, unknown>[]
  readonly dns?: Dns
}

export interface Dns {
  readonly nameservers?: readonly string[]
  readonly domain?: string
  readonly search?: readonly string[]
  readonly options?: readonly string[]
}

/** Container ids longer than any runtime's (64) find no room in the records that we keep in the kernel. */
export const CONTAINER_ID_MAX = 128
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/
/** PATH_MAX of linux/limits.h without its NUL. */
const PATH_BYTES_MAX = 4095
/** RFC 1123, as Kubernetes asks of names. */
const POD_NAME_MAX = 253
/** A UUID; of a static pod a digest. */
const POD_UID = /^[A-Za-z0-9-]{1,63}$/
const MTU_BYTES_MIN = 68 // RFC 791
const MTU_BYTES_MAX = 65_535
const FIRST_VERSION = { CHECK: '0.4.0', GC: '1.1.0', STATUS: '1.1.0' } as const

const PREV_RESULT_REMEDY = 'it must be what the plugin before bramble in the chain printed'

/** What we know and do not do; each with the way to have it. */
const UNSUPPORTED_RUNTIME_CONFIG = {
  bandwidth: 'chain the "bandwidth" plugin after bramble and give that one the capability "bandwidth"',
  mac: 'bramble derives the MAC from the container id, and the node sends to that one alone; remove the capability "mac"',
  ips: 'addresses come from the agent\'s --pod-cidr; remove the capability "ips"',
  ipranges: 'addresses come from the agent\'s --pod-cidr; remove the capability "ipRanges"',
} as const

/** @throws CniError with the specification's code, naming what is wrong and the remedy */
export function parseRequest(env: Readonly<Record<string, string>>, stdin: Buffer): CniRequest {
  const command = env.CNI_COMMAND ?? ''
  switch (command) {
    case 'ADD':
    case 'CHECK': {
      const id = parseAttachmentId(env)
      refuseUnusable(id.ifname)
      const netns = parseNetns(env, 'required')
      const config = parseConfig(stdin, command)
      if (command === 'CHECK' && !config.prevResult)
        throw new CniError(
          CNI_ERROR.invalidConfig,
          'prevResult is missing',
          'CHECK needs the result of ADD as prevResult',
        )
      return {
        command,
        ...id,
        netns,
        ...parsePod(env.CNI_ARGS ?? ''),
        allowsOwnNetns: /^(true|1)$/i.test(env.CNI_NETNS_OVERRIDE ?? ''),
        config,
      }
    }
    case 'DEL':
      return {
        command,
        ...parseAttachmentId(env),
        netns: parseNetns(env, 'optional'),
        config: parseConfig(stdin, command),
      }
    case 'GC': {
      const config = parseConfig(stdin, command)
      const validAttachments = parseValidAttachments(decode(stdin))
      return { command, ...(validAttachments && { validAttachments }), config }
    }
    case 'STATUS':
      return { command, config: parseConfig(stdin, command) }
    default:
      throw new CniError(
        CNI_ERROR.invalidEnvironment,
        `CNI_COMMAND is "${command}"`,
        'use ADD, DEL, CHECK, GC, STATUS or VERSION',
      )
  }
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

export function isContainerId(text: string): boolean {
  return text.length <= CONTAINER_ID_MAX && NAME.test(text)
}

/** What the kernel takes as a name (dev_valid_name) and the specification allows. */
export function isIfname(text: string): boolean {
  return /^[^\s/:\p{Cc}]+$/u.test(text) && Buffer.byteLength(text) <= 15 && text !== '.' && text !== '..'
}

function parseAttachmentId(env: Readonly<Record<string, string>>): AttachmentId {
  const { CNI_CONTAINERID: containerId = '', CNI_IFNAME: ifname = '' } = env
  const missing = ['CNI_CONTAINERID', 'CNI_IFNAME'].filter((name) => !env[name])
  if (missing.length > 0)
    throw new CniError(
      CNI_ERROR.invalidEnvironment,
      `${missing.join(' and ')} missing`,
      'the container runtime sets them',
    )
  if (!isContainerId(containerId))
    throw new CniError(
      CNI_ERROR.invalidEnvironment,
      `CNI_CONTAINERID "${shorten(containerId)}" is not valid`,
      `use a letter or digit, then letters, digits, "_", "." and "-"; at most ${CONTAINER_ID_MAX} characters`,
    )
  if (!isIfname(ifname))
    throw new CniError(
      CNI_ERROR.invalidEnvironment,
      `CNI_IFNAME "${shorten(ifname)}" is not valid`,
      'use 1 to 15 characters without "/", ":" and white space; not "." or ".."',
    )
  return { containerId, ifname }
}

/**
 * What the kernel takes as no name of a link (sysctl_dev_name_is_allowed in net/ipv4/devinet.c), or as another than was
 * meant (dev_alloc_name in net/core/dev.c; U+FFFD was some other byte). Not for a DEL: that ends well.
 */
function refuseUnusable(ifname: string): void {
  if (/^(all|default)$|[%\ufffd]/.test(ifname))
    throw new CniError(
      CNI_ERROR.invalidEnvironment,
      `CNI_IFNAME "${ifname}" cannot be the name of a link`,
      'use another, like "eth0": "all" and "default" are settings of every link, "%" stands for a number, names are UTF-8',
    )
}

function parseNetns(env: Readonly<Record<string, string>>, need: 'required' | 'optional'): string {
  const netns = env.CNI_NETNS ?? ''
  const remedy = 'it is the path of the network namespace, like /run/netns/NAME'
  if (netns === '' && need === 'required') throw new CniError(CNI_ERROR.invalidEnvironment, 'CNI_NETNS missing', remedy)
  if (netns !== '' && !netns.startsWith('/'))
    throw new CniError(CNI_ERROR.invalidEnvironment, `CNI_NETNS "${shorten(netns)}" is not an absolute path`, remedy)
  if (Buffer.byteLength(netns) > PATH_BYTES_MAX && need === 'required')
    throw new CniError(
      CNI_ERROR.invalidEnvironment,
      `CNI_NETNS "${shorten(netns)}" is longer than the ${PATH_BYTES_MAX} bytes of a path`,
      remedy,
    )
  return netns
}

/** The pod is for people to read: arguments that name none, or none as Kubernetes would, are no reason to refuse. */
function parsePod(args: string): { readonly pod: string; readonly podUid?: string } {
  const pairs = new Map(args.split(';').map((pair) => [pair.split('=')[0], pair.split('=').slice(1).join('=')]))
  const names = [pairs.get('K8S_POD_NAMESPACE') ?? '', pairs.get('K8S_POD_NAME') ?? '']
  if (!names.every((name) => name.length <= POD_NAME_MAX && NAME.test(name))) return { pod: '' }
  const podUid = pairs.get('K8S_POD_UID') ?? ''
  return { pod: names.join('/'), ...(POD_UID.test(podUid) && { podUid }) }
}

function parseConfig(stdin: Buffer, command: string): NetworkConfig {
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
  const { dns = parseDns(json.dns), hostPorts = [] } = parseRuntimeConfig(lowerKeys(json).runtimeconfig)
  return {
    cniVersion,
    name,
    mtuBytes: mtu,
    ...(prevResult && { prevResult: parsePrevResult(prevResult) }),
    ...(dns && { dns }),
    ...(hostPorts.length > 0 && { hostPorts }),
  }
}

function decode(stdin: Buffer): Record<string, unknown> {
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

/** containerd writes Go's capitalised keys here, others the documented ones: case says nothing. */
function parseRuntimeConfig(json: unknown): Pick<NetworkConfig, 'dns' | 'hostPorts'> {
  if (!isObject(json)) return {}
  const lower = lowerKeys(json)
  for (const [key, remedy] of Object.entries(UNSUPPORTED_RUNTIME_CONFIG))
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
function parseDns(json: unknown): Dns | undefined {
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

function parseValidAttachments(json: Record<string, unknown>): AttachmentId[] | undefined {
  const key = 'cni.dev/valid-attachments'
  if (!(key in json)) return undefined
  const list = json[key] ?? [] // null means: none is valid
  const isValid = (entry: unknown) =>
    isObject(entry) && typeof entry.containerID === 'string' && typeof entry.ifname === 'string'
  if (!Array.isArray(list) || !list.every(isValid))
    throw new CniError(
      CNI_ERROR.invalidConfig,
      `"${key}" is not a list of {"containerID", "ifname"}`,
      'nothing was removed',
    )
  return list.map(({ containerID, ifname }) => ({ containerId: containerID, ifname }))
}

function lowerKeys(json: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key.toLowerCase(), value]))
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.length > 0 && value.every((entry) => typeof entry === 'string')
}

/** Neither absent nor an empty object, list or text. */
function isFilled(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0
  return value !== undefined && value !== null && value !== ''
}

/** A value for messages: bounded, and never the inside of a structure, where secrets may be. */
function quote(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  return isObject(value) ? 'an object' : shorten(JSON.stringify(value))
}

function shorten(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`
}
