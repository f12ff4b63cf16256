import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Architecture } from './architecture.ts'
import { Lock, type NpmPackage } from './npm.ts'

export const PROJECT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

const PACKAGE_JSON = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8'))
export const VERSION: string = PACKAGE_JSON.version

/** Of packages with native parts, which are no part of the one file that esbuild makes: what is loaded. */
const LOADED: Readonly<Record<string, (architecture: Architecture) => readonly string[]>> = {
  koffi: () => ['package.json', 'index.js', 'src/koffi/index.js', 'src/koffi/src/static.js'],
  netlink: ({ node }) => ['package.json', 'dist/raw.js', 'dist/structs.js', `prebuilds/linux-${node}/node.napi.node`],
  'node-gyp-build': () => ['package.json', 'index.js', 'node-gyp-build.js'],
}

/**
 * Lays out what is installed to /opt/bramble on a machine of one architecture: bin, lib, and share with the licences.
 * `make build` has made what is the same for all; the plugin is compiled, the runtime is that of the lock file.
 * @param folder an empty one
 * @returns the npm packages that are in it
 */
export function layOutBundle(architecture: Architecture, folder: string): NpmPackage[] {
  const lock = new Lock(PROJECT)
  for (const name of ['bin', 'lib', 'share']) mkdirSync(join(folder, name), { recursive: true })
  compilePlugin(architecture, join(folder, 'bin/bramble'))
  for (const name of ['bramble-agent', 'bramblectl']) copy(join(PROJECT, 'bin/launcher.sh'), join(folder, 'bin', name))

  const modules = globSync(join(PROJECT, 'dist/lib/*.mjs'))
  if (modules.length === 0) throw new Error('dist/lib has no program: run make build first')
  for (const path of modules) copy(path, join(folder, 'lib', basename(path)))
  for (const [name, files] of Object.entries(LOADED))
    for (const file of files(architecture))
      copy(join(lock.folder(name), file), join(folder, 'lib/node_modules', name, file))
  const koffi = `@koromix/koffi-linux-${architecture.node}`
  for (const file of ['package.json', 'index.js', `linux_${architecture.node}/koffi.node`])
    copy(join(lock.folder(koffi), file), join(folder, 'lib/node_modules', koffi, file))
  const runtime = `node-linux-${architecture.node}`
  copy(join(lock.folder(runtime), 'bin/node'), join(folder, 'lib/node'))

  const packages = lock.closure([...Object.keys(PACKAGE_JSON.dependencies), koffi, runtime])
  copy(join(PROJECT, 'LICENSE'), join(folder, 'share/LICENSE'))
  writeFileSync(join(folder, 'share/licenses-of-others.txt'), licences(lock, packages))
  return packages
}

/** @throws Error when there is no compiler for it, or the plugin does not compile */
function compilePlugin({ name, triplet }: Architecture, path: string): void {
  const args = [`@plugin/cc-flags`, `-DBRAMBLE_VERSION="${VERSION}"`, '-o', path, 'plugin/shim.c']
  try {
    execFileSync(`${triplet}-gcc`, args, { cwd: PROJECT, stdio: ['ignore', 'inherit', 'inherit'] })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw new Error(
      `there is no compiler for ${name} here: apt install gcc-${triplet.replace('_', '-')} libc6-dev-${name}-cross`,
      { cause: error },
    )
  }
}

/** What is in npm's packages may be executable or not, as its author happened to have it. */
function copy(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true })
  copyFileSync(from, to)
  chmodSync(to, basename(dirname(to)) === 'bin' || basename(to) === 'node' ? 0o755 : 0o644)
}

function licences(lock: Lock, packages: readonly NpmPackage[]): string {
  return packages
    .map(({ name, version, license, place }) => {
      const folder = name.startsWith('@koromix/') ? lock.folder('koffi') : placeOf(lock, name, place)
      const [path] = globSync(join(folder, '{LICENSE,LICENCE,license,COPYING}*')).sort()
      const text = path ? readFileSync(path, 'utf8') : 'The package has no text of it.\n'
      return `${name} ${version}: ${license}\n\n${text}\n${'-'.repeat(120)}\n`
    })
    .join('\n')
}

function placeOf(lock: Lock, name: string, place: string): string {
  return place === `node_modules/${name}` ? lock.folder(name) : join(PROJECT, place)
}
