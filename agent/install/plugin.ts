import { existsSync, lstatSync, readdirSync, readFileSync, unlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LINK_GROUP } from '../ownership.ts'
import { InstallError } from './errors.ts'
import { onNode } from './on-node.ts'
import { replaceFile } from './replace-file.ts'

/** The agent's bundle lies in lib/ beside bin/; from source the plugin is where `make build` leaves it. */
const BUNDLE = fileURLToPath(new URL(process.env.BRAMBLE_BUILD_VERSION ? '..' : '../../dist', import.meta.url))

const PLUGIN = join(BUNDLE, 'bin/bramble')
/**
 * Plugins of others that came with the agent (the image has `loopback` of Debian's containernetworking-plugins): k3s without
 * flannel has none, and containerd brings up a pod's `lo` by that.
 */
const BROUGHT = join(BUNDLE, 'cni')

/** Seconds of 1970: what came with us has the time of our mark, "brm" and 1, since it is the same as what others install. */
const BROUGHT_MTIME = LINK_GROUP.pods

/** The path that is compiled into every version of the plugin: by it a file is known as ours. */
const MARK = '/run/bramble/agent.sock'

/**
 * Puts the plugin where the runtime looks for it, and beside it those that came along, where there is none of somebody else.
 * @returns what was written, as people name it
 * @throws InstallError
 */
export function putPlugins(binDir: string): string[] {
  const path = join(binDir, 'bramble')
  if (!existsSync(PLUGIN)) throw new InstallError(`${PLUGIN} is missing: build it first, by make build`)
  if (existsSync(path) && !isOurPlugin(path))
    throw new InstallError(`${onNode(path)} is a program of somebody else; move it away: it has the plugin's name`)
  const written = replaceFile(path, readFileSync(PLUGIN), 0o755) ? [onNode(path)] : []
  for (const plugin of brought()) {
    const place = join(binDir, basename(plugin))
    if (lstatSync(place, { throwIfNoEntry: false }) && !hasBroughtTime(place)) continue
    if (replaceFile(place, readFileSync(plugin), 0o755, BROUGHT_MTIME)) written.push(onNode(place))
  }
  return written
}

/** The plugin, and those that came along with one; what somebody else has put there since is theirs. */
export function installedPlugins(binDir: string): string[] {
  if (!existsSync(binDir)) return []
  return readdirSync(binDir)
    .map((name) => join(binDir, name))
    .filter((path) => (basename(path) === 'bramble' ? isOurPlugin(path) : hasBroughtTime(path)))
}

export function removeFile(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

function isOurPlugin(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() === true && readFileSync(path).includes(MARK)
}

function hasBroughtTime(path: string): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  return stats?.isFile() === true && Math.floor(stats.mtimeMs / 1000) === BROUGHT_MTIME
}

function brought(): string[] {
  return existsSync(BROUGHT) ? readdirSync(BROUGHT).map((name) => join(BROUGHT, name)) : []
}
