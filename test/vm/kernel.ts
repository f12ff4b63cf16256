import { execFile } from 'node:child_process'
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { zstdDecompressSync } from 'node:zlib'

/**
 * Debian's own kernel, from its package, for machines that are booted by tests: unwrapped once, and kept below
 * node_modules (`make` may forget it there, nobody commits it). Nothing is installed, and nobody needs to be root.
 */

const CACHE = fileURLToPath(new URL('../../node_modules/.cache/vm', import.meta.url))
const KEPT = join(CACHE, 'kernel')

/** Each depends on the package of its newest kernel: Debian 12's newer one first, then the one of the release. */
const META_PACKAGES = ['linux-image-6.12-amd64', 'linux-image-amd64']

/** Of 4,000 modules, the folders that tests use; the others would be a gigabyte. */
const MODULE_FOLDERS = ['arch', 'crypto', 'lib', 'net', 'fs/9p', 'fs/netfs', 'fs/overlayfs', 'drivers/net/*.ko*']
const DRIVER_FOLDERS = ['drivers/net/vxlan', 'drivers/net/wireguard']

/** depmod is not on every user's path. A mirror may be far: nothing here has a deadline. */
const ENV = { ...process.env, LC_ALL: 'C', PATH: `${process.env.PATH}:/usr/sbin:/sbin` }
const execute = promisify(execFile)

export interface Kernel {
  /** As `uname -r` says in the machine. */
  readonly release: string
  /** Path of the ELF file: with this, the machine has nothing to decompress at each boot. */
  readonly image: string
  /** The folder that is `/` to `modprobe -d`. */
  readonly root: string
}

let kernel: Promise<Kernel> | undefined

/** @throws Error with the reason and the remedy when there is none, and none can be had */
export function debianKernel(): Promise<Kernel> {
  kernel ??= keptOrNew() // once, however many machines begin together
  return kernel
}

async function keptOrNew(): Promise<Kernel> {
  if (process.arch !== 'x64')
    throw new Error(`virtual machines for tests are x86-64 ones, run on x86-64; this machine is ${process.arch}`)
  const kept = keptKernel()
  if (kept) return kept
  process.stderr.write("# downloading Debian's kernel, 107 MB, once\n")
  mkdirSync(CACHE, { recursive: true })
  const folder = mkdtempSync(join(CACHE, 'unfinished-'))
  try {
    await unwrap(await download(folder), folder)
    renameSync(join(folder, 'root'), KEPT) // whole or not at all
  } catch (error) {
    const others = keptKernel() // somebody was faster
    if (others) return others
    throw new Error(
      "Debian's kernel cannot be had: apt must know a Debian mirror (/etc/apt/sources.list.d) and reach it; the cause is below",
      { cause: error },
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
  const made = keptKernel()
  if (!made) throw new Error(`${KEPT} is not whole: delete it, and run this again`)
  return made
}

function keptKernel(): Kernel | undefined {
  const image = join(KEPT, 'vmlinux')
  if (!existsSync(image)) return undefined
  const [release] = readdirSync(join(KEPT, 'lib/modules'))
  return release === undefined ? undefined : { release, image, root: KEPT }
}

/** @returns the path of the package: asks apt, with lists of its own, since the machine's may be old, and are root's */
async function download(folder: string): Promise<string> {
  for (const name of ['lists/partial', 'cache/archives/partial']) mkdirSync(join(folder, name), { recursive: true })
  const settings = [`Dir::State::lists=${folder}/lists`, `Dir::Cache=${folder}/cache`, 'Debug::NoLocking=true']
  const config = join(folder, 'apt.conf')
  writeFileSync(config, settings.map((line) => `${line.replace('=', ' "')}";\n`).join(''))
  const options = { cwd: folder, env: { ...ENV, APT_CONFIG: config }, maxBuffer: 10e6 }
  const apt = async (program: string, ...args: string[]) => (await execute(program, ['-q', ...args], options)).stdout

  await apt('apt-get', 'update')
  for (const meta of META_PACKAGES) {
    const text = await apt('apt-cache', 'depends', meta).catch(() => '')
    const [, name] = /Depends: (linux-image-\S+)/.exec(text) ?? []
    if (!name) continue
    await apt('apt-get', 'download', name)
    const [file] = globSync(join(folder, '*.deb'))
    if (file) return file
  }
  throw new Error(`apt knows no package ${META_PACKAGES.join(' or ')}`)
}

async function unwrap(debianPackage: string, folder: string): Promise<void> {
  const all = join(folder, 'all')
  const root = join(folder, 'root')
  await execute('dpkg-deb', ['--extract', debianPackage, all])
  const [vmlinuz] = globSync(join(all, 'boot/vmlinuz-*'))
  const [tree] = globSync([join(all, 'lib/modules/*'), join(all, 'usr/lib/modules/*')])
  if (!vmlinuz || !tree) throw new Error(`${basename(debianPackage)} has no kernel, or no modules`)

  const kept = join(root, 'lib/modules', basename(tree))
  const parts = [...MODULE_FOLDERS, ...DRIVER_FOLDERS].map((name) => join(tree, 'kernel', name))
  for (const path of [...globSync(parts), ...globSync(join(tree, 'modules.*'))]) {
    const place = join(kept, path.slice(tree.length))
    mkdirSync(dirname(place), { recursive: true })
    renameSync(path, place)
  }
  // Where every machine would decompress them again, a boot would take twice as long.
  const packed = globSync(join(kept, '**/*.ko.xz'))
  await execute('xz', ['--decompress', ...packed])
  await execute('depmod', ['-b', root, basename(tree)], { env: ENV })
  writeFileSync(join(root, 'vmlinux'), payloadOf(readFileSync(vmlinuz)))
}

/**
 * The ELF kernel within a bzImage.
 * Documentation/arch/x86/boot.rst: setup_sects at 0x1f1, payload_offset at 0x248, payload_length at 0x24c.
 * @throws Error when it is not compressed with zstd
 */
function payloadOf(bzImage: Buffer): Buffer {
  const start = (bzImage.readUInt8(0x1f1) + 1) * 512 + bzImage.readUInt32LE(0x248)
  // The kernel's Makefile puts the size of the whole behind the compressed data: 4 bytes.
  const payload = bzImage.subarray(start, start + bzImage.readUInt32LE(0x24c) - 4)
  if (payload.readUInt32LE(0) !== 0xfd2f_b528) throw new Error('vmlinuz is not compressed with zstd')
  return zstdDecompressSync(payload)
}
