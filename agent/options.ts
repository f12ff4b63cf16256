import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, isAbsolute, join } from 'node:path'
import yargs from 'yargs'
import { AddressError, type Cidr, overlaps, parseCidr } from '../ipam/address.ts'
import { ROUTINGS, type Routing } from './desired/way.ts'

/** What the agent was told: flags, then BRAMBLE_* variables, then the file of --config. */
export interface Options {
  readonly datastore: 'local'
  readonly nodeName: string
  /** At most one of each family, IPv4 first; at least one. */
  readonly podCidrs: readonly Cidr[]
  readonly socket: string
  readonly stateDir: string
  /** Bytes; 0 follows the node's uplinks. */
  readonly mtuBytes: number
  /** The folder with the manifests of the cluster's nodes; absent: this node is alone. */
  readonly clusterDir?: string
  readonly routing: Routing
  readonly vxlanVni: number
  /** UDP. */
  readonly vxlanPort: number
  readonly logLevel: (typeof LOG_LEVELS)[number]
}

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const
const MTU_BYTES_MAX = 65_535
/** RFC 8200, section 5. */
const MTU_BYTES_MIN_IPV6 = 1280
/** The longest path that fits into sun_path with its NUL: unix(7). */
const SOCKET_PATH_MAX = 107

/** An option is wrong; the message names it and what to write instead. */
export class OptionError extends Error {
  override readonly name = 'OptionError'
  readonly code = 'OPTION' as const
}

/**
 * @returns undefined when only --help or --version was asked for, which is printed
 * @throws OptionError
 */
export async function parseOptions(argv: readonly string[], version: string): Promise<Options | undefined> {
  let isAnswered = false
  // Kubernetes sets these for every Service of the namespace; one named bramble… must not look like options of ours.
  for (const name of Object.keys(process.env))
    if (
      /^BRAMBLE_.*(SERVICE_HOST|SERVICE_PORT.*|PORT|PORT_\d+_(TCP|UDP|SCTP).*)$/.test(name) &&
      name !== 'BRAMBLE_VXLAN_PORT'
    )
      delete process.env[name]
  const wantsFile = process.env.BRAMBLE_CONFIG !== undefined || argv.some((word) => /^--config(=|$)/.test(word))
  const yaml = wantsFile ? (await import('yaml')).default : undefined // 1.5 MiB that few agents need
  const parser = yargs([...argv])
    .scriptName('bramble-agent')
    .usage('$0 [options]\n\nWires the pods of this node: serves the CNI plugin "bramble" on a socket.')
    .options({
      datastore: {
        nargs: 1,
        choices: ['local'] as const,
        default: 'local' as const,
        describe: 'where the cluster is known from',
      },
      'node-name': {
        type: 'string',
        nargs: 1,
        default: hostname(),
        defaultDescription: 'the host name',
        describe: 'name of this node',
      },
      'pod-cidr': {
        type: 'string',
        array: true,
        nargs: 1,
        describe: "addresses for this node's pods, like 10.42.0.0/24; repeat it for the other IP family",
      },
      socket: {
        type: 'string',
        nargs: 1,
        defaultDescription: 'agent.sock in --state-dir',
        describe: 'where the plugin finds the agent',
      },
      'state-dir': { type: 'string', nargs: 1, default: '/run/bramble', describe: 'small records; keep it on tmpfs' },
      mtu: {
        type: 'number',
        nargs: 1,
        default: 0,
        describe: 'MTU of pods in bytes; 0: the smallest of the uplinks with a default route',
      },
      'cluster-dir': {
        type: 'string',
        nargs: 1,
        describe: "folder with the cluster's nodes, as Kubernetes manifests (Node objects); watched",
      },
      routing: {
        nargs: 1,
        choices: ROUTINGS,
        default: 'auto' as const,
        describe: 'the way to other nodes: direct in the same subnet, VXLAN to the rest (auto); or one of them',
      },
      'vxlan-vni': { type: 'number', nargs: 1, default: 4096, describe: 'number of the VXLAN network' },
      'vxlan-port': { type: 'number', nargs: 1, default: 4789, describe: 'UDP port of VXLAN' },
      'log-level': {
        nargs: 1,
        choices: LOG_LEVELS,
        default: 'info' as const,
        describe: 'how much to log, as JSON lines on stdout',
      },
    })
    .config('config', 'a YAML or JSON file with the same options, without the dashes in front', (path: string) =>
      readConfigFile(path, (text) => {
        const document = yaml?.parseDocument(text)
        if (document?.errors[0]) throw document.errors[0]
        return document?.toJS()
      }),
    )
    .nargs('config', 1)
    .env('BRAMBLE')
    .epilogue(
      'Each option can also be set by the environment (--pod-cidr: BRAMBLE_POD_CIDR) and in the file of --config; flags win, then the environment, then the file.',
    )
    .version(version)
    .help()
    .strict()
    .wrap(100)
    .exitProcess(false)
    .showHelpOnFail(false)
    .fail((message, error) => {
      throw error instanceof OptionError ? error : new OptionError(inOneLine(message || String(error?.message)))
    })
  const given = await parser.parseAsync([...argv], {}, (_error, _argv, output) => {
    if (!output) return
    isAnswered = true
    process.stdout.write(`${output}\n`)
  })
  if (isAnswered) return undefined

  const stateDir = absolute('--state-dir', given['state-dir'])
  // Node's mkdir never comes back from there.
  if (/^\/(proc|sys)(\/|$)/.test(stateDir))
    throw new OptionError(`--state-dir ${stateDir} is no place for files; take one on tmpfs, like /run/bramble`)
  const socket = absolute('--socket', given.socket ?? join(stateDir, 'agent.sock'))
  if (Buffer.byteLength(socket) > SOCKET_PATH_MAX)
    throw new OptionError(
      `--socket ${socket} is longer than the ${SOCKET_PATH_MAX} bytes that a socket's path may have`,
    )
  if (dirname(socket) === '/') throw new OptionError(`--socket ${socket} must lie in a folder of its own`)
  const cidrs = podCidrs(given['pod-cidr'] ?? [])
  return {
    datastore: once('--datastore', given.datastore),
    nodeName: nodeName(once('--node-name', given['node-name'])),
    podCidrs: cidrs,
    socket,
    stateDir,
    mtuBytes: mtu(given.mtu, cidrs),
    ...(given['cluster-dir'] !== undefined && { clusterDir: absolute('--cluster-dir', given['cluster-dir']) }),
    routing: once('--routing', given.routing),
    vxlanVni: whole('--vxlan-vni', given['vxlan-vni'], 1, 2 ** 24 - 1), // RFC 7348: 24 bits
    vxlanPort: whole('--vxlan-port', given['vxlan-port'], 1, 65_535),
    logLevel: once('--log-level', given['log-level']),
  }
}

function whole(option: string, number: unknown, least: number, most: number): number {
  if (typeof number !== 'number' || !Number.isInteger(number) || number < least || number > most)
    throw new OptionError(`${option} must be a whole number from ${least} to ${most}`)
  return number
}

function readConfigFile(path: string, parse: (text: string) => unknown): Record<string, unknown> {
  let content: unknown
  try {
    content = parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new OptionError(`--config ${path} cannot be read: ${(error as Error).message.replace(/:?\n[\s\S]*$/, '')}`)
  }
  if (content === null || content === undefined) return {}
  if (typeof content !== 'object' || Array.isArray(content))
    throw new OptionError(`--config ${path} must hold options like "mtu: 1450"`)
  return content as Record<string, unknown>
}

/** yargs' words, but unknown options as they were written: it calls BRAMBLE_POD_CIDER podCider. */
function inOneLine(message: string): string {
  const [, list] = /^Unknown arguments?: (.*)$/.exec(message) ?? []
  if (!list) return message.replace(/\s*\n\s*/g, ' ')
  const names = list.split(', ')
  const camelCased = names.filter((name) => name.includes('-')).map((name) => name.replace(/-(.)/g, upperCase))
  const written = names
    .filter((name) => !camelCased.includes(name))
    .map((name) => {
      const variable = `BRAMBLE_${name.replace(/[A-Z]/g, '_$&').toUpperCase()}`
      return process.env[variable] === undefined ? `"${name}"` : variable
    })
  return `unknown option ${written.join(', ')}; see bramble-agent --help`
}

function upperCase(_: string, letter: string): string {
  return letter.toUpperCase()
}

/** Of an option that is given twice yargs makes a list, and the file can hold anything. */
function once<Text extends string>(option: string, value: Text): Text {
  if (typeof value !== 'string') throw new OptionError(`${option} is ${JSON.stringify(value)}; give it once, as text`)
  return value
}

function absolute(option: string, given: string): string {
  const path = once(option, given)
  if (!isAbsolute(path)) throw new OptionError(`${option} "${path}" is not an absolute path`)
  return path
}

/** RFC 1123, as Kubernetes asks of node names. */
function nodeName(name: string): string {
  const lower = name.toLowerCase()
  if (!/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(lower))
    throw new OptionError(`--node-name "${name}" is no host name; use letters, digits, "-" and "."`)
  return lower
}

function podCidrs(given: readonly (string | number)[]): Cidr[] {
  const texts = [given]
    .flat()
    .flatMap((text) => String(text).split(/[\s,]+/))
    .filter((text) => text !== '')
  if (texts.length === 0) throw new OptionError('--pod-cidr is missing; give one like --pod-cidr 10.42.0.0/24')
  const cidrs = texts.map((text) => {
    try {
      return parseCidr(text)
    } catch (error) {
      if (error instanceof AddressError) throw new OptionError(`--pod-cidr: ${error.message}`)
      throw error
    }
  })
  for (const family of [4, 6]) {
    const same = cidrs.filter((cidr) => cidr.family === family)
    if (same.length > 1)
      throw new OptionError(
        `--pod-cidr: ${same.map(({ text }) => text).join(' and ')} are both IPv${family}; give one of each family`,
      )
  }
  for (const cidr of cidrs) {
    if (cidr.prefixLength === (cidr.family === 4 ? 32 : 128))
      throw new OptionError(
        `--pod-cidr ${cidr.text} holds no address for a pod: the first one of a CIDR is not given out`,
      )
    for (const reserved of RESERVED)
      if (overlaps(cidr, parseCidr(reserved.cidr)))
        throw new OptionError(
          `--pod-cidr ${cidr.text} overlaps ${reserved.cidr}, ${reserved.why}; take private addresses`,
        )
  }
  return cidrs.sort((a, b) => a.family - b.family)
}

/** Addresses that no pod can have. */
const RESERVED = [
  { cidr: '0.0.0.0/8', why: 'this network (RFC 1122)' },
  { cidr: '127.0.0.0/8', why: 'loopback (RFC 1122)' },
  { cidr: '169.254.0.0/16', why: 'link-local, where the pods have their gateway (RFC 3927)' },
  { cidr: '224.0.0.0/3', why: 'multicast and reserved (RFC 5771)' },
  { cidr: '::/96', why: 'unspecified and loopback (RFC 4291)' },
  { cidr: '::ffff:0:0/96', why: 'IPv4-mapped (RFC 4291)' },
  { cidr: 'fe80::/10', why: 'link-local (RFC 4291)' },
  { cidr: 'ff00::/8', why: 'multicast (RFC 4291)' },
]

function mtu(bytes: number, cidrs: readonly Cidr[]): number {
  if (!Number.isInteger(bytes) || bytes < 0 || bytes > MTU_BYTES_MAX || (bytes > 0 && bytes < 68))
    throw new OptionError(
      `--mtu must be a whole number of bytes from 68 to ${MTU_BYTES_MAX}, or 0 to follow the uplinks`,
    )
  const ipv6 = cidrs.find(({ family }) => family === 6)
  if (ipv6 && bytes > 0 && bytes < MTU_BYTES_MIN_IPV6)
    throw new OptionError(
      `--mtu ${bytes} is too small for --pod-cidr ${ipv6.text}: IPv6 needs at least ${MTU_BYTES_MIN_IPV6}`,
    )
  return bytes
}
