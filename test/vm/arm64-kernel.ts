import { execFile } from 'node:child_process'
import { existsSync, globSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { debianSources } from '../../deploy/image/debian.ts'
import type { Kernel } from './kernel.ts'

/**
 * Debian's own kernels for arm64, kept as kernel.ts keeps the other. They are run by `qemu-system-aarch64`, whatever this
 * machine is.
 */

/** The first one that has a kernel with pages of 16 KiB. */
const RELEASE = 'trixie'
const CACHE = fileURLToPath(new URL('../../node_modules/.cache/vm', import.meta.url))
/** Of the modules, what a node of pods needs. */
const MODULES = [
  'lib',
  'net',
  'crypto',
  'arch',
  'drivers/net/{veth,dummy}.ko*',
  'drivers/net/vxlan',
  'drivers/net/wireguard',
]
const ENV = { ...process.env, LC_ALL: 'C', PATH: `${process.env.PATH}:/usr/sbin:/sbin` }
const execute = promisify(execFile)

/** By the size of its pages in KiB: what a Pi 4 has, and a Pi 5 by default. */
const ARM64_KERNELS = { 4: 'linux-image-cloud-arm64', 16: 'linux-image-arm64-16k' } as const

/** @throws Error with the reason and the remedy when it cannot be had */
export async function arm64Kernel(pagesKib: keyof typeof ARM64_KERNELS): Promise<Kernel> {
  const kept = join(CACHE, `kernel-arm64-${pagesKib}k`)
  if (!existsSync(kept)) await make(ARM64_KERNELS[pagesKib], kept)
  const [release] = readdirSync(join(kept, 'usr/lib/modules'))
  if (release === undefined) throw new Error(`${kept} is not whole: delete it, and run this again`)
  return { release, image: join(kept, 'vmlinuz'), root: kept }
}

async function make(meta: string, kept: string): Promise<void> {
  process.stderr.write(`# downloading Debian's ${meta}, once\n`)
  mkdirSync(CACHE, { recursive: true })
  const folder = mkdtempSync(join(CACHE, 'unfinished-'))
  try {
    await unwrap(await download(meta, folder), folder)
    if (!existsSync(kept)) renameSync(join(folder, 'root'), kept) // whole or not at all
  } catch (error) {
    throw new Error(`${meta} cannot be had: apt must reach a Debian mirror that has arm64; the cause is below`, {
      cause: error,
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** By apt, as on a machine of that architecture with nothing installed. @returns the path of the package */
async function download(meta: string, folder: string): Promise<string> {
  for (const name of ['lists/partial', 'cache/archives/partial']) mkdirSync(join(folder, name), { recursive: true })
  writeFileSync(join(folder, 'sources.list'), `${debianSources(undefined, RELEASE).join('\n')}\n`)
  writeFileSync(join(folder, 'status'), '')
  const settings = {
    'APT::Architecture': 'arm64',
    'APT::Architectures': 'arm64',
    'Dir::Etc::SourceList': join(folder, 'sources.list'),
    'Dir::Etc::SourceParts': '/dev/null',
    'Dir::State::Status': join(folder, 'status'),
    'Dir::State::Lists': join(folder, 'lists'),
    'Dir::Cache': join(folder, 'cache'),
    'Debug::NoLocking': 'true',
  }
  const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  const apt = async (program: string, ...args: string[]) =>
    (await execute(program, ['-q', ...options, ...args], { cwd: folder, env: ENV, maxBuffer: 10e6 })).stdout
  await apt('apt-get', 'update')
  const [, name] = /Depends: (linux-image-\S+)/.exec(await apt('apt-cache', 'depends', meta)) ?? []
  if (!name) throw new Error(`apt knows no package ${meta}`)
  await apt('apt-get', 'download', name)
  const [file] = globSync(join(folder, '*.deb'))
  if (!file) throw new Error(`apt has left no file of ${name}`)
  return file
}

async function unwrap(debianPackage: string, folder: string): Promise<void> {
  const [all, root] = [join(folder, 'all'), join(folder, 'root')]
  await execute('dpkg-deb', ['--extract', debianPackage, all])
  const [vmlinuz] = globSync(join(all, 'boot/vmlinuz-*'))
  const [tree] = globSync(join(all, 'usr/lib/modules/*'))
  if (!vmlinuz || !tree) throw new Error(`${basename(debianPackage)} has no kernel, or no modules`)

  const modules = join(root, 'usr/lib/modules', basename(tree))
  for (const path of [
    ...globSync(MODULES.map((name) => join(tree, 'kernel', name))),
    ...globSync(join(tree, 'modules.*')),
  ]) {
    const place = join(modules, path.slice(tree.length))
    mkdirSync(dirname(place), { recursive: true })
    renameSync(path, place)
  }
  await execute('xz', ['--decompress', ...globSync(join(modules, '**/*.ko.xz'))])
  await execute('depmod', ['-b', join(root, 'usr'), basename(tree)], { env: ENV })
  renameSync(vmlinuz, join(root, 'vmlinuz'))
}
