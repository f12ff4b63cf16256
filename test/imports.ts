/**
 * The rules of the design, read off the imports of all TypeScript files: `node test/imports.ts [FOLDER]` prints one line
 * for each breach, and ends with 1 when there is one. Arrows point inward; what is pure stays pure all the way down.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

interface Import {
  /** From the root, with slashes. */
  readonly from: string
  readonly line: number
  /** A file from the root, a package (`yargs`), or a module of Node (`node:fs`). */
  readonly to: string
  readonly kind: 'file' | 'package' | 'node'
  /** `import type`: nothing of it is there when the program runs. */
  readonly isTypeOnly: boolean
}

const PRODUCT = ['bin', 'ctl', 'agent', 'plugin', 'ipam']
const FOLDERS = [...PRODUCT, 'test', 'bench', 'deploy']

/** Where files may reach, by the longest path that fits. A path with a slash at its end is a folder. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'bin/': ['agent/', 'ctl/', 'plugin/'],
  'ctl/': ['ctl/', 'plugin/'],
  // It works without the agent, and so in this process.
  'ctl/doctor/command.ts': ['ctl/', 'plugin/', 'agent/doctor/doctor.ts'],
  // The command that makes pods of its own: by the API server, or by the plugin in namespaces that it makes.
  'ctl/connectivity/': [
    'ctl/',
    'agent/cluster/kubernetes/',
    'agent/cluster/yaml.ts',
    'agent/kernel/',
    'ipam/address.ts',
  ],
  'plugin/': ['plugin/', 'ipam/address.ts', 'ipam/host-port.ts'],
  'ipam/': ['ipam/'],
  'agent/main.ts': ['agent/', 'ipam/', 'plugin/'],
  'agent/': ['agent/kernel/', 'agent/*.ts', 'ipam/'],
  'agent/options.ts': [
    'agent/options/',
    'agent/cluster/settings.ts',
    'agent/desired/',
    'agent/policy/',
    'agent/regular-file.ts',
    'ipam/',
  ],
  'agent/options/': ['agent/options/', 'agent/cluster/settings.ts', 'agent/desired/', 'agent/policy/', 'ipam/'],
  'agent/api/': [
    'agent/api/',
    'agent/cluster/',
    'agent/desired/',
    'agent/kernel/',
    'agent/mtu/',
    'agent/nodes/',
    'agent/observe/',
    'agent/pods/',
    'agent/policy/',
    'agent/ruleset/',
    'agent/enforcement/',
    'agent/hostports/',
    'agent/install/',
    'agent/*.ts',
    'plugin/',
    'ipam/',
  ],
  'agent/cleanup/': ['agent/cleanup/', 'agent/kernel/', 'agent/*.ts', 'plugin/', 'ipam/'],
  'agent/cluster/': ['agent/cluster/', 'agent/*.ts', 'ipam/'],
  'agent/desired/': ['agent/desired/', 'agent/cluster/', 'agent/kernel/', 'agent/*.ts', 'ipam/'],
  'agent/doctor/': ['agent/doctor/', 'agent/kernel/', 'agent/install/conflist.ts', 'agent/*.ts', 'plugin/', 'ipam/'],
  'agent/hostports/': ['agent/hostports/', 'agent/desired/', 'agent/kernel/', 'agent/*.ts', 'plugin/', 'ipam/'],
  'agent/install/': ['agent/install/', 'agent/cleanup/', 'agent/cluster/', 'agent/*.ts'],
  'agent/kernel/': ['agent/kernel/', 'ipam/'],
  'agent/mtu/': ['agent/mtu/', 'agent/kernel/', 'ipam/'],
  'agent/nodes/': [
    'agent/nodes/',
    'agent/mtu/',
    'agent/cluster/',
    'agent/desired/',
    'agent/kernel/',
    'agent/reconcile/',
    'agent/*.ts',
    'ipam/',
  ],
  'agent/observe/': [
    'agent/observe/',
    'agent/cluster/',
    'agent/enforcement/',
    'agent/nodes/',
    'agent/pods/',
    'agent/ruleset/',
    'agent/*.ts',
    'ipam/',
  ],
  'agent/policy/': ['agent/policy/', 'agent/cluster/', 'ipam/'],
  'agent/ruleset/': [
    'agent/ruleset/',
    'agent/policy/',
    'agent/cluster/',
    'agent/kernel/mac.ts',
    'agent/ownership.ts',
    'ipam/',
  ],
  'agent/enforcement/': [
    'agent/enforcement/',
    'agent/cluster/',
    'agent/policy/',
    'agent/ruleset/',
    'agent/kernel/',
    'agent/*.ts',
    'ipam/',
  ],
  'agent/pods/': [
    'agent/pods/',
    'agent/hostports/',
    'agent/kernel/',
    'agent/reconcile/',
    'agent/*.ts',
    'ipam/',
    'plugin/',
  ],
  'agent/reconcile/': ['agent/reconcile/', 'agent/cluster/', 'agent/desired/', 'agent/kernel/', 'agent/*.ts'],
}

/** What besides may be known by its types alone. */
const MAY_IMPORT_TYPES: Readonly<Record<string, readonly string[]>> = {
  'ctl/': ['agent/api/', 'agent/doctor/', 'agent/cluster/view.ts'],
  'agent/doctor/': ['agent/api/'],
}

/** Only here may these packages be imported. */
const PACKAGE_HOMES: Readonly<Record<string, string>> = { netlink: 'agent/kernel/', koffi: 'agent/kernel/' }

/**
 * Values in, values out: these import pure files, types, and what is listed here of packages. That the kernel's codecs
 * are among them (they say how a route is written, and not how it is sent) is what lets attachment.ts be pure.
 */
const PURE = [
  'plugin/',
  'ipam/address.ts',
  'ipam/cidr-index.ts',
  'ipam/host-port.ts',
  'ipam/pool.ts',
  'ipam/reserved.ts',
  'ipam/leases.ts',
  'agent/ownership.ts',
  'agent/options/values.ts',
  'agent/mtu/path-mtu.ts',
  'agent/desired/',
  'agent/policy/',
  'agent/ruleset/',
  'agent/cluster/policy.ts',
  'agent/reconcile/diff.ts',
  'agent/observe/catalogue.ts',
  'agent/observe/event-ledger.ts',
  'agent/observe/exposition.ts',
  'agent/observe/families.ts',
  'agent/observe/family.ts',
  'agent/observe/histogram.ts',
  'agent/observe/history.ts',
  'agent/observe/http-request.ts',
  'agent/observe/node-events.ts',
  'agent/observe/published-status.ts',
  'agent/observe/tally.ts',
  'agent/alias.ts',
  'agent/port-names.ts',
  'agent/hostports/table.ts',
  'agent/hostports/claim.ts',
  'agent/hostports/stale.ts',
  'agent/doctor/check.ts',
  'agent/doctor/checks.ts',
  'agent/doctor/checks/',
  'agent/doctor/facts.ts',
  'agent/doctor/finding.ts',
  'agent/install/conflist.ts',
  'agent/install/on-node.ts',
  'agent/pods/attachment.ts',
  'agent/pods/compare.ts',
  'agent/kernel/message.ts',
  'agent/kernel/echo-message.ts',
  'agent/kernel/attributes.ts',
  'agent/kernel/mac.ts',
  'agent/kernel/addresses.ts',
  'agent/kernel/links.ts',
  'agent/kernel/neighbours.ts',
  'agent/kernel/routes.ts',
  'agent/kernel/rules.ts',
  'agent/kernel/fdb.ts',
  'agent/kernel/conntrack.ts',
  'agent/kernel/nft-elements.ts',
  'agent/enforcement/element-changes.ts',
  'agent/kernel/packet-header.ts',
  'agent/kernel/nflog-message.ts',
  'agent/kernel/vxlan.ts',
  'agent/kernel/new-link.ts',
  'agent/kernel/veth.ts',
  'agent/kernel/ipip.ts',
  'agent/kernel/gre.ts',
  'agent/kernel/generic-netlink.ts',
  'agent/kernel/wireguard.ts',
  'agent/kernel/modules.ts',
  'agent/cluster/view.ts',
  'agent/cluster/node-object.ts',
  'agent/cluster/namespace-object.ts',
  'agent/cluster/object-fields.ts',
  'agent/cluster/pod-object.ts',
  'agent/cluster/address-ranges.ts',
  'agent/cluster/cluster-network-policy-object.ts',
  'agent/cluster/names.ts',
  'agent/cluster/network-policy-object.ts',
  'agent/cluster/policy-fields.ts',
  'agent/cluster/policy-object.ts',
  'agent/cluster/policy-size.ts',
  'agent/cluster/policy-values.ts',
  'agent/cluster/selector-object.ts',
  'ctl/doctor/render.ts',
  'ctl/connectivity/cluster-objects.ts',
  'ctl/connectivity/next-step.ts',
  'ctl/connectivity/objects.ts',
  'ctl/connectivity/plan.ts',
  'ctl/connectivity/probe.ts',
  'ctl/connectivity/render.ts',
  'ctl/connectivity/rows.ts',
  'ctl/sysdump/contents.ts',
  'ctl/sysdump/index-text.ts',
  'ctl/sysdump/redact.ts',
  'ctl/mtu.ts',
  'ctl/policy-alike.ts',
  'ctl/policy-html.ts',
  'ctl/policy-matrix.ts',
  'ctl/policy-preview.ts',
  'ctl/policy-show.ts',
  'ctl/printable.ts',
  'ctl/render.ts',
  'ctl/duration.ts',
  'ctl/status.ts',
  'ctl/table.ts',
  'ctl/ustar.ts',
]
const PURE_PACKAGES = ['ip-num', 'node:crypto', 'node:path']

/** @returns one line for each breach, in the order of the files */
export function breaches(root: string): string[] {
  const imports = FOLDERS.flatMap((folder) => sourcesBelow(root, folder)).flatMap((file) => importsOf(root, file))
  const packages = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  return [
    ...imports.flatMap((one) => {
      const found = [...breachesOfReach(root, one), ...breachesOfPackages(one, packages), ...breachesOfPurity(one)]
      return found.map((what) => `${one.from}:${one.line}: ${what}`)
    }),
    ...circles(imports),
  ]
}

function sourcesBelow(root: string, folder: string): string[] {
  if (!existsSync(join(root, folder))) return []
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.includes('node_modules'))
    .map((name) => `${folder}/${name}`)
    .sort()
}

/** `import … from '…'`, `export … from '…'`, `import '…'` at the beginning of a line, and `import()` of a text anywhere. */
const STATIC =
  /^(?:import|export)\s+(type\s+)?(?:(?:\w+\s*,\s*)?(?:\w+|\{[^}]*\}|\*(?:\s+as\s+\w+)?)\s*from\s*)?['"]([^'"]+)['"]/gm
const DYNAMIC = /\bimport\(\s*(?:\/\*.*?\*\/\s*)?['"]([^'"]+)['"]/g

function importsOf(root: string, from: string): Import[] {
  const source = readFileSync(join(root, from), 'utf8')
  const found = [
    ...Array.from(source.matchAll(STATIC), ({ index, 1: type, 2: to = '' }) => ({
      index,
      to,
      isTypeOnly: Boolean(type),
    })),
    ...Array.from(source.matchAll(DYNAMIC), ({ index, 1: to = '' }) => ({ index, to, isTypeOnly: false })),
  ]
  return found.map(({ index, to, isTypeOnly }) => ({
    from,
    line: source.slice(0, index).split('\n').length,
    isTypeOnly,
    ...target(root, from, to),
  }))
}

function target(root: string, from: string, to: string): Pick<Import, 'to' | 'kind'> {
  if (to.startsWith('.')) return { to: relative(root, resolve(root, dirname(from), to)), kind: 'file' }
  if (to.startsWith('node:') || builtinModules.includes(to)) return { to, kind: 'node' }
  return { to: to.split('/', to.startsWith('@') ? 2 : 1).join('/'), kind: 'package' }
}

/** The value for the longest path that fits. */
function forPath<T>(table: Readonly<Record<string, T>>, file: string): T | undefined {
  const fitting = Object.keys(table).filter((path) => covers(path, file))
  const longest = fitting.sort((a, b) => b.length - a.length)[0]
  return longest === undefined ? undefined : table[longest]
}

/** `agent/pods/` covers all below it, `agent/*.ts` the files of the folder itself, but the wiring. */
function covers(path: string, file: string): boolean {
  if (path.endsWith('/*.ts')) return dirname(file) === path.slice(0, -5) && file !== 'agent/main.ts'
  return path.endsWith('/') ? file.startsWith(path) : file === path
}

const isCovered = (paths: readonly string[] | undefined, file: string) =>
  paths?.some((path) => covers(path, file)) ?? false

const isPure = (file: string) => isCovered(PURE, file)

function breachesOfReach(root: string, { from, to, kind, isTypeOnly }: Import): string[] {
  if (kind !== 'file') return []
  if (!existsSync(join(root, to))) return [`imports ${to}, which is not there`]
  if (!PRODUCT.includes(from.split('/')[0] ?? '')) return [] // tests and benchmarks look at anything
  const allowed = forPath(MAY_IMPORT, from)
  if (isCovered(allowed, to)) return []
  if (isTypeOnly && isCovered(forPath(MAY_IMPORT_TYPES, from), to)) return []
  const onlyTypes = isCovered(forPath(MAY_IMPORT_TYPES, from), to) ? '; its types alone may be imported' : ''
  return [`imports ${to}; it may reach ${allowed?.join(', ') ?? 'nothing'}${onlyTypes}`]
}

function breachesOfPackages({ from, to, kind }: Import, json: Record<string, object | undefined>): string[] {
  if (kind !== 'package') return []
  const isProduct = PRODUCT.includes(from.split('/')[0] ?? '')
  const listed = [
    ...Object.keys(json.dependencies ?? {}),
    ...(isProduct ? [] : Object.keys(json.devDependencies ?? {})),
  ]
  const home = PACKAGE_HOMES[to]
  return [
    ...(listed.includes(to) ? [] : [`imports ${to}, which is not among the dependencies in package.json`]),
    ...(home && !from.startsWith(home) ? [`imports ${to}; only ${home} may`] : []),
  ]
}

function breachesOfPurity({ from, to, kind, isTypeOnly }: Import): string[] {
  if (!isPure(from) || isTypeOnly) return []
  if (kind === 'file' ? isPure(to) : PURE_PACKAGES.includes(to)) return []
  return [`is pure and imports ${to}, which is not`]
}

/** Types count too: two files that know each other are one. */
function circles(imports: readonly Import[]): string[] {
  const next = Map.groupBy(
    imports.filter(({ kind }) => kind === 'file'),
    ({ from }) => from,
  )
  const done = new Set<string>()
  const found: string[] = []
  const visit = (file: string, path: readonly string[]) => {
    const start = path.indexOf(file)
    if (start >= 0) found.push(`import in a circle: ${[...path.slice(start), file].join(' -> ')}`)
    if (start >= 0 || done.has(file)) return
    for (const { to } of next.get(file) ?? []) visit(to, [...path, file])
    done.add(file)
  }
  for (const file of next.keys()) visit(file, [])
  return found
}

if (import.meta.main) {
  const root = resolve(process.argv[2] ?? fileURLToPath(new URL('..', import.meta.url)))
  const found = breaches(root)
  for (const line of found) console.log(line)
  process.exitCode = found.length > 0 ? 1 : 0
}
