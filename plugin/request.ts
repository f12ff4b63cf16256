import { CNI_ERROR, CniError } from './errors.ts'
import { isObject, shorten } from './json.ts'
import { decode, NAME, type NetworkConfig, parseNetworkConfig } from './network-config.ts'

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

/** Container ids longer than any runtime's (64) find no room in the records that we keep in the kernel. */
export const CONTAINER_ID_MAX = 128
/** PATH_MAX of linux/limits.h without its NUL. */
const PATH_BYTES_MAX = 4095
/** RFC 1123, as Kubernetes asks of names. */
const POD_NAME_MAX = 253
/** A UUID; of a static pod a digest. */
const POD_UID = /^[A-Za-z0-9-]{1,63}$/

/**
 * From what a runtime gave the plugin (CNI_* variables, stdin) to a request that the agent can trust. Pure.
 * https://github.com/containernetworking/cni/blob/spec-v1.1.0/SPEC.md
 * @throws CniError with the specification's code, naming what is wrong and the remedy
 */
export function parseRequest(env: Readonly<Record<string, string>>, stdin: Buffer): CniRequest {
  const command = env.CNI_COMMAND ?? ''
  switch (command) {
    case 'ADD':
    case 'CHECK': {
      const id = parseAttachmentId(env)
      refuseUnusable(id.ifname)
      const netns = parseNetns(env, 'required')
      const config = parseNetworkConfig(stdin, command)
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
        config: parseNetworkConfig(stdin, command),
      }
    case 'GC': {
      const config = parseNetworkConfig(stdin, command)
      const validAttachments = parseValidAttachments(decode(stdin))
      return { command, ...(validAttachments && { validAttachments }), config }
    }
    case 'STATUS':
      return { command, config: parseNetworkConfig(stdin, command) }
    default:
      throw new CniError(
        CNI_ERROR.invalidEnvironment,
        `CNI_COMMAND is "${command}"`,
        'use ADD, DEL, CHECK, GC, STATUS or VERSION',
      )
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
