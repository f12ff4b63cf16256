import { cpSync, existsSync, mkdirSync, readFileSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { capture, run } from '../scratch.ts'
import { image } from './image.ts'

const DIST = join(import.meta.dirname, '../../../dist')
/** In the scratch node's own /run. */
const ROOT = '/run/bramble-image'
/** What the launcher needs of a shell. */
const APPLETS = ['sh', 'dirname', 'basename', 'readlink']
/** Loaded by name when it is needed. */
const NFTABLES = 'libnftables.so.1'
/** Other people's plugins, which the agent puts where there are none. */
const BROUGHT = ['loopback']

/**
 * The agent's image as far as the agent sees it: /opt/bramble from dist/, and the libraries that these programs load, from
 * this machine. The one that users get has a Debian around it.
 */
export async function brambleImage(name: string): Promise<Buffer> {
  for (const folder of ['opt/bramble/cni', 'bin', 'run', 'var', 'tmp', 'etc', 'lib64'])
    mkdirSync(join(ROOT, folder), { recursive: true })
  symlinkSync('../run', join(ROOT, 'var/run')) // runtimes name namespaces /var/run/netns/…
  cpSync(DIST, join(ROOT, 'opt/bramble'), { recursive: true })
  for (const plugin of BROUGHT) cpSync(join('/usr/lib/cni', plugin), join(ROOT, 'opt/bramble/cni', plugin))
  cpSync('/bin/busybox', join(ROOT, 'bin/busybox'))
  for (const applet of APPLETS) symlinkSync('busybox', join(ROOT, 'bin', applet))
  for (const library of await libraries()) {
    mkdirSync(join(ROOT, dirname(library)), { recursive: true })
    cpSync(realpathSync(library), join(ROOT, library))
  }
  const archive = `${ROOT}.tar`
  await run('tar', '--create', '--file', archive, '--directory', ROOT, '--owner=0', '--group=0', '.')
  rmSync(ROOT, { recursive: true })
  const layer = readFileSync(archive)
  rmSync(archive)
  return image(name, layer, { Env: ['PATH=/opt/bramble/bin:/bin'], Entrypoint: ['/opt/bramble/bin/bramble-agent'] })
}

/** The paths of all libraries that the bundle's native parts load, the dynamic loader among them. */
async function libraries(): Promise<Set<string>> {
  const known = await run('ldconfig', '-p')
  const [, nftables] = new RegExp(`${NFTABLES} .*=> (\\S+)`).exec(known) ?? []
  if (!nftables) throw new Error(`${NFTABLES} is not installed: make setup installs libnftables1`)
  const natives = (await run('find', join(DIST, 'lib/node_modules'), '-name', '*.node')).trim().split('\n')
  const found = new Set([nftables])
  for (const program of [join(DIST, 'lib/node'), nftables, ...natives]) {
    const { stdout } = await capture('ldd', [program]) // of those for other machines it says nothing
    for (const [, path = ''] of stdout.matchAll(/^\s*(?:\S+ => )?(\/\S+) \(0x/gm)) if (existsSync(path)) found.add(path)
  }
  return found
}
