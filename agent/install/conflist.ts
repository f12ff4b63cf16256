/** The network configuration that the runtime reads, and which file of its folder it takes. Pure. */

/** `10-` as everybody has it: what an administrator wants to come first has room before it. */
export const CONFLIST_NAME = '10-bramble.conflist'

/** Plugins that do what Bramble leaves to them, in the order of the chain, with what the runtime tells them. */
const CHAINED = [{ type: 'bandwidth', capabilities: { bandwidth: true } }] as const

/** The runtime tells of hostPorts whoever declares this. */
const OURS = { type: 'bramble', capabilities: { portMappings: true } }

export type ChainedPlugin = (typeof CHAINED)[number]['type']

export const CHAINED_PLUGINS: readonly ChainedPlugin[] = CHAINED.map(({ type }) => type)

/** @param present the plugins that the runtime can run; one that it cannot would fail every pod */
export function renderConflist(present: ReadonlySet<string>): string {
  const chain = CHAINED.filter(({ type }) => present.has(type))
  // CRI-O calls CHECK after each ADD, and a `bandwidth` before 1.9.1 dies of it in a pod without limits
  // (containernetworking/plugins#1221): no pod would start.
  const check = chain.length > 0 ? { disableCheck: true } : {}
  // 1.0.0, since the runtimes of Debian 12 and Ubuntu 22.04 refuse 1.1.0.
  const conflist = { cniVersion: '1.0.0', name: 'bramble', ...check, plugins: [OURS, ...chain] }
  return `${JSON.stringify(conflist, null, 2)}\n`
}

/** The types of the plugins in a network configuration, list or single; none where it cannot be read. */
export function pluginTypes(text: string): string[] {
  try {
    const { type, plugins = [{ type }] } = JSON.parse(text)
    return plugins.flatMap((plugin: { type?: unknown } | null) => (plugin?.type ? [String(plugin.type)] : []))
  } catch {
    return []
  }
}

/**
 * What the runtime reads before ours: it takes the first by name of .conf, .conflist and .json, in the order of their bytes
 * (libcni/api.go, ConfFiles; go-cni/opts.go, loadFromConfDir).
 */
export function namesBeforeOurs(names: readonly string[]): string[] {
  return names.filter((name) => /\.(conf|conflist|json)$/.test(name) && bytesBefore(name, CONFLIST_NAME)).sort(byBytes)
}

/** Whether pods have their network from Bramble with this one, too: it calls us, or Multus, which then reads the next. */
export function leadsToUs(types: readonly string[]): boolean {
  return types.some((type) => type === 'bramble' || type.startsWith('multus'))
}

const bytesBefore = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0
const byBytes = (a: string, b: string) => (bytesBefore(a, b) ? -1 : 1)
