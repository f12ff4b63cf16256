import { dirname, join } from 'node:path'
import yargs from 'yargs'
import type { Cidr } from '../ipam/address.ts'
import type { ClusterSettings } from './cluster/settings.ts'
import type { Routing } from './desired/way.ts'
import { FLAGS, type LOG_LEVELS } from './options/flags.ts'
import {
  absolute,
  cidrs,
  flag,
  listenAddress,
  mtu,
  nodeAddresses,
  nodeName,
  OptionError,
  once,
  oneOfEachFamily,
  podCidrs,
  redisUrl,
  unsuited,
  whole,
} from './options/values.ts'
import type { PolicyMode } from './policy/input.ts'
import { readRegularFile } from './regular-file.ts'

export { OptionError } from './options/values.ts'

/** What the agent was told: flags, then BRAMBLE_* variables, then the file of --config. */
export interface Options extends ClusterSettings {
  /** At most one of each family; empty: what the cluster says, or else the node's own. */
  readonly nodeIps: readonly string[]
  readonly serviceCidrs: readonly Cidr[]
  readonly routing: Routing
  /** Nothing goes between nodes unencrypted. */
  readonly isEncrypted: boolean
  readonly vxlanVni: number
  /** UDP. */
  readonly vxlanPort: number
  /** UDP. */
  readonly wireguardPort: number
  readonly wireguardKeyFile: string
  /** 0: none. */
  readonly wireguardKeepaliveSeconds: number
  /** Bytes; 0 follows the node's uplinks. */
  readonly mtuBytes: number
  readonly masquerades: boolean
  readonly noMasqueradeCidrs: readonly Cidr[]
  readonly policyMode: PolicyMode
  readonly policyWaitSeconds: number
  /** A pod that nothing is known of is open. */
  readonly policyFailsOpen: boolean
  readonly socket: string
  /** The container runtime's folder of plugins; absent: the plugin is put there by somebody else. */
  readonly cniBinDir?: string
  /** Its folder of network configurations; absent: likewise. */
  readonly cniConfDir?: string
  readonly sysctlDir: string
  /** Waits for the agent before this one, instead of refusing to start beside it. */
  readonly takesOver: boolean
  /** Where metrics can be asked for; absent: nowhere. */
  readonly metricsAddress?: { readonly host: string; readonly port: number }
  readonly logLevel: (typeof LOG_LEVELS)[number]
}

/** The longest path that fits into sun_path with its NUL: unix(7). */
const SOCKET_PATH_MAX = 107

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
      name !== 'BRAMBLE_VXLAN_PORT' &&
      name !== 'BRAMBLE_WIREGUARD_PORT'
    )
      delete process.env[name]
  const wantsFile = process.env.BRAMBLE_CONFIG !== undefined || argv.some((word) => /^--config(=|$)/.test(word))
  const yaml = wantsFile ? (await import('yaml')).default : undefined // 1.5 MiB that few agents need
  const parser = yargs([...argv])
    .scriptName('bramble-agent')
    .usage(
      '$0 [options]\n$0 cleanup [--dry-run]   removes all of it from this node\n$0 uninstall [--dry-run] [options]   that, and what it has installed for the runtime\n\nWires the pods of this node: serves the CNI plugin "bramble" on a socket, and joins the node to the others.',
    )
    .options(FLAGS)
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
    .parserConfiguration({ 'boolean-negation': false }) // --no-masquerade-cidr is an option, and no denial of one
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
  refuseProc('--state-dir', stateDir, 'take one on tmpfs, like /run/bramble')
  const socket = absolute('--socket', given.socket ?? join(stateDir, 'agent.sock'))
  if (Buffer.byteLength(socket) > SOCKET_PATH_MAX)
    throw new OptionError(
      `--socket ${socket} is longer than the ${SOCKET_PATH_MAX} bytes that a socket's path may have`,
    )
  if (dirname(socket) === '/') throw new OptionError(`--socket ${socket} must lie in a folder of its own`)
  const datastore = once('--datastore', given.datastore)
  const pods = podCidrs('--pod-cidr', given['pod-cidr'])
  const cluster = podCidrs('--cluster-cidr', given['cluster-cidr'])
  if (datastore === 'local' && pods.length === 0)
    throw new OptionError('--pod-cidr is missing; give one like --pod-cidr 10.42.0.0/24')
  if (datastore === 'redis' && cluster.length === 0)
    throw new OptionError('--cluster-cidr is missing; give one like --cluster-cidr 10.42.0.0/16')
  unsuited(datastore, given)
  const isEncrypted = flag('--encrypt', given.encrypt ?? 'false')
  const routing = once('--routing', given.routing)
  if (isEncrypted && routing !== 'auto' && routing !== 'wireguard')
    throw new OptionError(`--encrypt leaves --routing ${routing} nothing to do; use auto or wireguard`)
  const path = (
    name: 'cluster-dir' | 'kubeconfig' | 'redis-ca' | 'redis-cert' | 'redis-key' | 'cni-bin-dir' | 'cni-conf-dir',
  ) => {
    const text = given[name]
    return text === undefined ? undefined : absolute(`--${name}`, text)
  }
  const [clusterDir, kubeconfig] = [path('cluster-dir'), path('kubeconfig')]
  const metricsAddress = listenAddress('--metrics-address', given['metrics-address'])
  const [cniBinDir, cniConfDir] = [path('cni-bin-dir'), path('cni-conf-dir')]
  refuseProc('--cni-bin-dir', cniBinDir, 'take that of the container runtime, like /opt/cni/bin')
  refuseProc('--cni-conf-dir', cniConfDir, 'take that of the container runtime, like /etc/cni/net.d')
  if (cniConfDir !== undefined && cniBinDir === undefined)
    throw new OptionError(
      '--cni-conf-dir needs --cni-bin-dir, like /opt/cni/bin: only plugins that are there can be in the network configuration',
    )
  const [caFile, certFile, keyFile] = [path('redis-ca'), path('redis-cert'), path('redis-key')]
  const tls = { ...(caFile && { caFile }), ...(certFile && { certFile }), ...(keyFile && { keyFile }) }
  return {
    datastore,
    nodeName: nodeName(once('--node-name', given['node-name'])),
    nodeIps: nodeAddresses('--node-ip', given['node-ip']),
    podCidrs: pods,
    clusterCidrs: cluster,
    nodeMasks: {
      4: whole('--node-mask', given['node-mask'], 8, 30),
      6: whole('--node-mask-ipv6', given['node-mask-ipv6'], 16, 126),
    },
    serviceCidrs: oneOfEachFamily('--service-cidr', cidrs('--service-cidr', given['service-cidr'])),
    ...(clusterDir && { clusterDir }),
    ...(kubeconfig && { kubeconfig }),
    ...(datastore === 'redis' && { redis: { url: redisUrl(given['redis-url']), tls } }),
    routing,
    isEncrypted,
    vxlanVni: whole('--vxlan-vni', given['vxlan-vni'], 1, 2 ** 24 - 1), // RFC 7348: 24 bits
    vxlanPort: whole('--vxlan-port', given['vxlan-port'], 1, 65_535),
    wireguardPort: whole('--wireguard-port', given['wireguard-port'], 1, 65_535),
    wireguardKeyFile: absolute('--wireguard-key-file', given['wireguard-key-file'] ?? join(stateDir, 'wireguard.key')),
    wireguardKeepaliveSeconds: whole('--wireguard-keepalive', given['wireguard-keepalive'], 0, 65_535),
    mtuBytes: mtu(given.mtu, [...pods, ...cluster]),
    masquerades: flag('--masquerade', given.masquerade ?? 'true'),
    noMasqueradeCidrs: cidrs('--no-masquerade-cidr', given['no-masquerade-cidr']),
    policyMode: once('--policy-mode', given['policy-mode']),
    policyWaitSeconds: whole('--policy-wait', given['policy-wait'], 0, 20),
    policyFailsOpen: flag('--policy-fail-open', given['policy-fail-open'] ?? 'false'),
    socket,
    stateDir,
    ...(cniBinDir && { cniBinDir }),
    ...(metricsAddress && { metricsAddress }),
    ...(cniConfDir && { cniConfDir }),
    takesOver: flag('--take-over', given['take-over'] ?? 'false'),
    sysctlDir: absolute('--sysctl-dir', given['sysctl-dir']),
    logLevel: once('--log-level', given['log-level']),
  }
}

/** Node's mkdir never comes back from there. */
function refuseProc(option: string, path: string | undefined, instead: string): void {
  if (path !== undefined && /^\/(proc|sys)(\/|$)/.test(path))
    throw new OptionError(`${option} ${path} is no place for files; ${instead}`)
}

function readConfigFile(path: string, parse: (text: string) => unknown): Record<string, unknown> {
  let content: unknown
  try {
    content = parse(readRegularFile(path).toString())
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
