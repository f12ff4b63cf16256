import { chmodSync, copyFileSync, globSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from '../kernel/scratch.ts'
import type { Kernel } from './kernel.ts'

export const PROJECT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')
/** What it takes to see the host's files. */
const FIRST_MODULES = ['9pnet_virtio', '9p', 'overlay']
/** Of busybox, as initrd.sh uses them. */
const APPLETS = ['cp', 'insmod', 'mkdir', 'mount', 'sh', 'switch_root', 'umount']
const FOLDERS_WITH_SOURCES = ['agent', 'bench', 'bin', 'ctl', 'ipam', 'plugin', 'test']

/**
 * Makes a machine's initial RAM disk: initrd.sh, what that needs, and what is different for each machine.
 * @param folder an empty one, for this and what it is made of
 * @returns its path
 */
export async function makeInitrd(folder: string, kernel: Kernel): Promise<string> {
  const disk = join(folder, 'disk')
  for (const name of ['bin', 'dev', 'host', 'memory', 'modules', 'proc', 'root'])
    mkdirSync(join(disk, name), { recursive: true })
  copyFileSync(join(PROJECT, 'test/vm/initrd.sh'), join(disk, 'init'))
  chmodSync(join(disk, 'init'), 0o755)
  copyFileSync((await run('sh', '-c', 'command -v busybox')).trim(), join(disk, 'bin/busybox'))
  for (const applet of APPLETS) symlinkSync('busybox', join(disk, 'bin', applet))
  for (const [index, path] of (await firstModules(kernel)).entries())
    copyFileSync(path, join(disk, 'modules', `${String(index).padStart(2, '0')}-${basename(path)}`))

  const settings = {
    project: PROJECT,
    modules: join(kernel.root, 'lib/modules'),
    node: dirname(process.execPath),
    tap_timeout_seconds: '300', // as in .taprc
  }
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${quoted(value)}\n`)
  writeFileSync(join(disk, 'settings'), lines.join(''))
  const sources = strippedSources()
  writeFileSync(join(disk, 'stripped.json'), JSON.stringify(sources))
  writeFileSync(join(disk, 'load-stripped.mjs'), sources[join(PROJECT, 'test/vm/load-stripped.ts')] ?? '')

  const archive = join(folder, 'initrd')
  await run('sh', '-c', 'cd "$0" && find . | busybox cpio -o -H newc >"$1"', disk, archive)
  return archive
}

/** In the order in which they can be loaded. */
async function firstModules({ root, release }: Kernel): Promise<string[]> {
  const modprobe = ['modprobe', '-d', root, '-S', release, '--show-depends', '-a', ...FIRST_MODULES]
  const lines = await run('env', `PATH=${process.env.PATH}:/usr/sbin:/sbin`, ...modprobe)
  return [...new Set([...lines.matchAll(/^insmod (.*?) *$/gm)].map(([, path = '']) => path))]
}

/** The project's TypeScript as Node runs it, by path: see load-stripped.ts. */
function strippedSources(): Record<string, string> {
  const paths = FOLDERS_WITH_SOURCES.flatMap((folder) => globSync(join(PROJECT, folder, '**/*.ts')))
  return Object.fromEntries(paths.flatMap((path) => stripped(path)))
}

/** A file that somebody is just writing is left out: Node in the machine says what is wrong with it, to whoever needs it. */
function stripped(path: string): [path: string, source: string][] {
  try {
    return [[path, stripTypeScriptTypes(readFileSync(path, 'utf8'))]]
  } catch {
    return []
  }
}

/** As a word of the shell. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`
}
