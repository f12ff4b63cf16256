import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { until } from '../agent.ts'
import { capture, run } from '../scratch.ts'
import { type Cri, connectCri } from './cri.ts'
import { busyboxImage } from './image.ts'

/** All files of this containerd are in here: in the scratch node's own /run, so they end with it. */
const HOME = '/run/containerd-test'
const SOCKET = `${HOME}/containerd.sock`
const READY_TIMEOUT_MS = 20_000
/** runc and others are not on everybody's path. */
const PATH = `${process.env.PATH}:/usr/sbin:/sbin`

/** The image of every sandbox and container. */
export const IMAGE = 'localhost/pause:1'

export interface Options {
  /** The CNI plugins it can run, as paths; `loopback` is added, since containerd 1.6 brings up `lo` with it. */
  readonly plugins: readonly string[]
  /** By runtime handler, one of them `default`: the network configuration of its sandboxes. */
  readonly conflists: Readonly<Record<string, object>>
  /** The node's own folders instead, as a distribution has them: what is in there is for others to put there. */
  readonly nodeFolders?: { readonly binDir: string; readonly confDir: string }
  /** More images, as tar archives, by name. */
  readonly images?: Readonly<Record<string, () => Promise<Buffer>>>
}

export interface Containerd {
  readonly cri: Cri
  /** The cgroup of all its sandboxes, in every hierarchy: a name that no other test run has. */
  readonly cgroup: string
  /** The newest of what it logged. */
  log(): string
  /** Ends it and everything it started. */
  stop(): Promise<void>
}

/**
 * Starts a containerd that shares nothing with one the machine may have, and gives it an image. Only for a process
 * that has entered a scratch node.
 * @throws Error with what containerd logged, when it is not ready after 20 s
 */
export async function startContainerd(options: Options): Promise<Containerd> {
  for (const program of ['containerd', 'containerd-shim-runc-v2', 'runc', 'ctr']) demand(program)
  await hideMachine()
  writeFiles(options)

  const cgroup = `bramble-test-${process.pid}`
  const keeper = spawn(
    'sh',
    [join(import.meta.dirname, 'keeper.sh'), cgroup, 'containerd', '--config', `${HOME}/config.toml`],
    {
      env: { PATH, TMPDIR: `${HOME}/tmp` },
      stdio: ['pipe', 'ignore', 'pipe'],
    },
  )
  const ended = new Promise<number>((resolve) => keeper.on('close', (code) => resolve(code ?? 128)))
  let log = ''
  keeper.stderr.setEncoding('utf8').on('data', (text: string) => (log = (log + text).slice(-20_000)))
  const cri = connectCri(SOCKET)
  const stop = async (): Promise<void> => {
    cri.close()
    keeper.stdin.end()
    const exitCode = await ended
    if (exitCode !== 0) throw new Error(`containerd's keeper: exit ${exitCode}: ${log}`)
  }

  try {
    await ready(keeper, cri, options.nodeFolders === undefined)
    await importImage(cri, IMAGE, busyboxImage(IMAGE))
    for (const [name, archive] of Object.entries(options.images ?? {})) await importImage(cri, name, await archive())
  } catch (error) {
    await stop().catch(() => {})
    throw new Error(`containerd does not start; it says:\n${log}`, { cause: error })
  }
  return { cri, cgroup, log: () => log, stop }
}

function demand(program: string): void {
  if (!PATH.split(':').some((folder) => existsSync(join(folder, program))))
    throw new Error(`${program} is not installed: make setup installs it`)
}

/** Some paths are built into containerd, libcni and host-local: in this node they are its own. */
async function hideMachine(): Promise<void> {
  await run('mount', '-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', '/var/lib') // /var/lib/cni
  await run('mount', '--make-shared', '/run') // see keeper.sh
}

function writeFiles({ plugins, conflists, nodeFolders }: Options): void {
  for (const folder of ['bin', 'tmp', 'conf']) mkdirSync(join(HOME, folder), { recursive: true })
  for (const plugin of ['/usr/lib/cni/loopback', ...plugins]) {
    if (!existsSync(plugin)) throw new Error(`${plugin} is missing: make setup and make build bring it`)
    symlinkSync(plugin, join(HOME, 'bin', basename(plugin)))
  }
  for (const [handler, conflist] of Object.entries(conflists)) {
    mkdirSync(confFolder(handler), { recursive: true })
    writeFileSync(join(confFolder(handler), '10-test.conflist'), JSON.stringify(conflist))
  }
  writeFileSync(join(HOME, 'config.toml'), config(Object.keys(conflists), nodeFolders))
}

function confFolder(handler: string): string {
  return join(HOME, 'conf', handler)
}

function config(handlers: readonly string[], nodeFolders: Options['nodeFolders']): string {
  const cri = 'plugins."io.containerd.grpc.v1.cri"'
  return `
version = 2
root = "${HOME}/root"
state = "${HOME}/state"
# opt would make /opt/containerd, aufs would load a module
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs"]
[grpc]
address = "${SOCKET}"
[${cri}]
sandbox_image = "${IMAGE}"
disable_apparmor = true # a profile would be left in the kernel
restrict_oom_score_adj = ${!negativeOomScoresPermitted()}
[${cri}.cni]
bin_dir = "${nodeFolders?.binDir ?? `${HOME}/bin`}"
conf_dir = "${nodeFolders?.confDir ?? confFolder('default')}"
[${cri}.containerd]
default_runtime_name = "default"
${handlers
  .map(
    (handler) => `
[${cri}.containerd.runtimes.${handler}]
runtime_type = "io.containerd.runc.v2"
cni_conf_dir = "${nodeFolders?.confDir ?? confFolder(handler)}"`,
  )
  .join('\n')}
`
}

/** containerd gives a sandbox -998, which takes CAP_SYS_RESOURCE: not every container or virtual machine has it. */
function negativeOomScoresPermitted(): boolean {
  const path = '/proc/self/oom_score_adj'
  const own = readFileSync(path, 'utf8')
  try {
    writeFileSync(path, '-998')
  } catch {
    return false
  }
  writeFileSync(path, own)
  return true
}

/** @param hasNetwork there is a network configuration already; without one containerd is well but for that */
async function ready(keeper: ChildProcess, cri: Cri, hasNetwork: boolean): Promise<void> {
  await until(
    'containerd is ready',
    async () => {
      if (keeper.exitCode !== null) throw new Error('containerd ended')
      const conditions = existsSync(SOCKET) ? await cri.conditions().catch(() => []) : []
      return (
        conditions.length > 0 &&
        conditions.every(({ status, type }) => status || (type === 'NetworkReady' && !hasNetwork))
      )
    },
    READY_TIMEOUT_MS,
  )
}

async function importImage(cri: Cri, name: string, content: Buffer): Promise<void> {
  const archive = `${HOME}/tmp/image.tar`
  writeFileSync(archive, content)
  const output = await capture('ctr', ['--address', SOCKET, '--namespace', 'k8s.io', 'images', 'import', archive])
  if (output.exitCode !== 0) throw new Error(`ctr images import: ${output.stderr}`)
  rmSync(archive)
  await until('the image is known to CRI', () => cri.hasImage(name), READY_TIMEOUT_MS) // it hears of it through an event
}
