import { AddressError, familyOf, formatAddress, parseAddress } from '../../ipam/address.ts'
import { parseOwnOptions, SOCKET_OPTION } from '../own-options.ts'
import { printable } from '../printable.ts'
import { UsageError } from '../usage-error.ts'
import type { Target } from './plan.ts'

export interface TestOptions {
  readonly isLocal: boolean
  readonly socket: string
  /** With --local. */
  readonly plugin: string
  /** Absent: as kubectl finds it. */
  readonly kubeconfig?: string
  readonly context?: string
  /** Absent: that of the DaemonSet, or of this version. */
  readonly image?: string
  /** Empty: all that are ready. */
  readonly nodes: readonly string[]
  readonly outside: readonly Target[]
  readonly hasPolicy: boolean
  /** Nothing but to take away what earlier tests have left. */
  readonly isCleaning: boolean
  readonly isJson: boolean
}

const USAGE = `bramblectl connectivity test [options]

Makes pods, lets them speak to each other and to the rest, and takes them away: on one node and on two, to a Service,
to nodes, to the outside, with names, with packets of full size, in both families, with a policy and without.

With Kubernetes: in a namespace bramble-test-…, by your kubeconfig, from Bramble's own image; needs the right to make
namespaces. With --local: two pods on this node by the plugin, without Kubernetes; needs root.

Exit codes: 0 all is well; 1 something failed, or could not be tried; 2 wrong command line; 130 interrupted.

Examples:
  bramblectl connectivity test
  bramblectl connectivity test --node pi-1 --node pi-2 --outside none
  sudo bramblectl connectivity test --local`

const OUTSIDE = ['1.1.1.1:443', '[2606:4700:4700::1111]:443']

const OPTIONS = {
  local: { type: 'boolean', default: false, describe: 'on this node alone, without Kubernetes' },
  kubeconfig: {
    type: 'string',
    nargs: 1,
    defaultDescription: 'KUBECONFIG, ~/.kube/config, or what the distribution has',
    describe: 'how the API server is reached',
  },
  context: { type: 'string', nargs: 1, describe: 'another context than the current one' },
  node: {
    type: 'string',
    array: true,
    nargs: 1,
    describe: 'a node to try; may be repeated',
    defaultDescription: 'all that are ready, up to 10',
  },
  image: {
    type: 'string',
    nargs: 1,
    describe: "Bramble's image",
    defaultDescription: 'that of the DaemonSet kube-system/bramble',
  },
  outside: {
    type: 'string',
    array: true,
    nargs: 1,
    default: OUTSIDE,
    describe: 'ADDRESS:PORT outside that takes connections; may be repeated; none: nothing is tried',
  },
  'no-policy': { type: 'boolean', default: false, describe: 'leave the policies out' },
  clean: { type: 'boolean', default: false, describe: 'only remove the namespaces that tests have left' },
  plugin: {
    type: 'string',
    nargs: 1,
    defaultDescription: '/opt/cni/bin/bramble',
    describe: 'the CNI plugin (--local)',
  },
  socket: { ...SOCKET_OPTION, describe: "the agent's socket (--local)" },
  output: {
    alias: 'o',
    nargs: 1,
    choices: ['table', 'json'] as const,
    default: 'table' as const,
    describe: 'how to print',
  },
} as const

/** With --local these mean nothing, and without it those. */
const OF_CLUSTER = ['kubeconfig', 'context', 'node', 'image'] as const

/** @returns undefined when help was asked for, which is printed. @throws UsageError, PluginCallError */
export async function parseTestOptions(argv: readonly string[], version: string): Promise<TestOptions | undefined> {
  const given = await parseOwnOptions('connectivity test', USAGE, OPTIONS, argv, version)
  if (!given) return undefined
  const { local: isLocal, kubeconfig, context, image } = given
  const foreign = OF_CLUSTER.find((option) => isLocal && given[option] !== undefined)
  if (foreign) throw new UsageError(`--${foreign} is for a cluster, and --local needs none`)
  if (isLocal && given.clean) throw new UsageError('--clean is for a cluster: what --local makes ends with it')
  if (!isLocal && given.plugin !== undefined) throw new UsageError('--plugin is for --local')
  return {
    isLocal,
    socket: given.socket,
    plugin: isLocal ? (given.plugin ?? (await import('./plugin-call.ts')).findPlugin()) : '',
    ...(kubeconfig !== undefined && { kubeconfig }),
    ...(context !== undefined && { context }),
    ...(image !== undefined && { image }),
    nodes: given.node ?? [],
    outside: given.outside.filter((text) => text !== 'none').map(parseTarget),
    hasPolicy: !given['no-policy'],
    isCleaning: given.clean,
    isJson: given.output === 'json',
  }
}

/** `1.1.1.1:443`, `[2606:4700:4700::1111]:443`. @throws UsageError */
export function parseTarget(text: string): Target {
  const [, ipv6, ipv4, digits] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  try {
    const given = ipv6 ?? ipv4 ?? ''
    const family = familyOf(given)
    if (port < 1 || port > 65_535 || (family === 6) !== (ipv6 !== undefined)) throw new AddressError(text)
    return { address: formatAddress(family, parseAddress(given)), port }
  } catch (error) {
    if (!(error instanceof AddressError)) throw error
    throw new UsageError(`--outside "${printable(text)}" is no ADDRESS:PORT; write 192.0.2.1:443, or [2001:db8::1]:443`)
  }
}
