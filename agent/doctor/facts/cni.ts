import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import type { CniConfig, CniFiles, CniPlace } from '../facts.ts'
import type { Places } from '../places.ts'
import { outputOf } from './command.ts'

/** k3s' own, while it has its flannel; without that it takes those of everybody. */
const K3S = '/var/lib/rancher/k3s'

const CONFIG_FILE = /\.(conf|conflist|json)$/

const RUNTIME_FILES = [`${K3S}/agent/etc/containerd/config.toml`, '/etc/containerd/config.toml']

export async function cni(places: Places): Promise<CniFiles> {
  const found = [await placeOf(places, '/etc/cni/net.d', '/opt/cni/bin')]
  const k3sConf = `${K3S}/agent/etc/cni/net.d`
  const k3sBin = [`${K3S}/data/cni`, `${K3S}/data/current/bin`].find((path) => places.has(path))
  if (places.has(k3sConf) && k3sBin) found.push(await placeOf(places, k3sConf, k3sBin))
  return { places: found, runtime: runtimeOf(places), unseenRuntime: unseen(places) }
}

function unseen(places: Places): string | undefined {
  try {
    places.needNode()
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

async function placeOf(places: Places, confDir: string, binDir: string): Promise<CniPlace> {
  // In the order of bytes, as runtimes sort (go-cni/opts.go, loadFromConfDir; libcni/api.go, ConfFiles).
  const names = places.list(confDir)
  const files = names.filter((name) => CONFIG_FILE.test(name))
  const programs = places.list(binDir).filter((name) => isProgram(places.path(join(binDir, name))))
  return {
    confDir,
    binDir,
    configs: files.map((file) => parseConfig(file, places.read(join(confDir, file)))),
    others: names.filter((name) => !CONFIG_FILE.test(name)),
    programs,
    pluginVersion: programs.includes('bramble') ? await versionOf(places.path(join(binDir, 'bramble'))) : undefined,
  }
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Without CNI_COMMAND it says a line about itself. */
async function versionOf(path: string): Promise<string | undefined> {
  return /^CNI plugin bramble (\S+),/m.exec((await outputOf(path))?.stderr ?? '')?.[1]
}

/** Of the file's text. Never its other contents: they can hold tokens. Pure. */
export function parseConfig(file: string, text: string | undefined): CniConfig {
  const broken = (error: string): CniConfig => ({ file, error, name: '', types: [], portMappers: [] })
  if (text === undefined) return broken('it cannot be read')
  if (text.trim() === '') return broken('it is empty')
  let json: { name?: unknown; type?: unknown; plugins?: unknown } | null
  try {
    json = JSON.parse(text)
  } catch {
    return broken('it is no JSON')
  }
  const plugins: unknown[] = Array.isArray(json?.plugins) ? json.plugins : [json]
  const types = plugins.map((plugin) => (plugin as { type?: unknown } | null)?.type)
  if (!types.every((type) => typeof type === 'string') || types.length === 0) return broken('it names no plugin')
  const portMappers = types.filter((_, index) => isToldOfPorts(plugins[index]))
  return { file, name: String(json?.name ?? ''), types, portMappers }
}

/** The runtime hands on what a plugin declares, and leaves the rest out without a word. */
function isToldOfPorts(plugin: unknown): boolean {
  return (plugin as { capabilities?: { portMappings?: unknown } | null }).capabilities?.portMappings === true
}

/** No TOML reader for two words: both names are used in no other section. */
function runtimeOf(places: Places): CniFiles['runtime'] {
  for (const file of RUNTIME_FILES) {
    const text = places.read(file)?.replace(/^\s*#.*$/gm, '')
    if (text === undefined) continue
    const confDir = /\bconf_dir\s*=\s*["']([^"']+)["']/.exec(text)?.[1]
    const binDir = /\bbin_dirs?\s*=\s*\[?\s*["']([^"']+)["']/.exec(text)?.[1]
    return { file, ...(confDir && { confDir }), ...(binDir && { binDir }) }
  }
  return undefined
}
