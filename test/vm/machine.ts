import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  copyFileSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import type { Duplex, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { run } from '../kernel/scratch.ts'
import { debianKernel, type Kernel } from './kernel.ts'

const PROJECT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')
/** What the initial RAM disk needs to reach the host's files. */
const FIRST_MODULES = ['9pnet_virtio', '9p', 'overlay']
const CONSOLE_CHARACTERS = 20_000
/** A user's path does not always have modprobe and depmod. */
const PATH = `${process.env.PATH}:/usr/sbin:/sbin`

export interface MachineOptions {
  /** Runs as root, in the project's folder, with the Node that runs this first on its path. */
  readonly command: readonly string[]
  /** After this the machine is ended, whatever it does. */
  readonly timeoutMs: number
  readonly memoryMib?: number
  /** Further devices, in qemu's words. */
  readonly devices?: readonly string[]
}

/**
 * A virtual machine with Debian's own kernel, which runs one command. It has the host's files, read-only: what it
 * changes is in its own memory. It needs neither root nor KVM.
 */
export class Machine {
  /** The command's stdin and stdout. */
  readonly stdio: Duplex
  readonly stderr: Readable
  /** The command's exit code. Rejects when the machine ends without one. */
  readonly exitCode: Promise<number>
  readonly #qemu: ChildProcess

  private constructor(qemu: ChildProcess, folder: string, timeoutMs: number) {
    this.#qemu = qemu
    const [, , , stdio, stderr, exit] = qemu.stdio as readonly unknown[]
    this.stdio = stdio as Duplex
    this.stderr = stderr as Readable
    this.exitCode = this.#ending(exit as Readable, timeoutMs).finally(() => rmSync(folder, { recursive: true }))
  }

  /** @throws Error when there is no kernel for it */
  static async boot(options: MachineOptions): Promise<Machine> {
    const kernel = await debianKernel()
    const folder = mkdtempSync(join(tmpdir(), 'bramble-vm-'))
    const initrd = await makeInitrd(folder, kernel, options.command)
    const args = ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...qemuArguments(kernel, initrd, options)]
    const qemu = spawn('setpriv', args, { stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe'] })
    return new Machine(qemu, folder, options.timeoutMs)
  }

  /** Pulls the plug. */
  end(): void {
    this.#qemu.kill('SIGKILL')
  }

  async #ending(exit: Readable, timeoutMs: number): Promise<number> {
    let said = ''
    for (const stream of [this.#qemu.stdout, this.#qemu.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-CONSOLE_CHARACTERS)))
    exit.setEncoding('utf8').once('data', () => this.end()) // all it wrote before is in our sockets
    const timer = setTimeout(() => {
      said += `\nended after ${timeoutMs / 1000} s`
      this.end()
    }, timeoutMs)
    const [code] = await Promise.all([text(exit), once(this.#qemu, 'close')])
    clearTimeout(timer)
    if (!/^\d+\n$/.test(code)) throw new Error(`the machine ended without an exit code; it said last:\n${said}`)
    return Number(code)
  }
}

function qemuArguments(kernel: Kernel, initrd: string, options: MachineOptions): string[] {
  const { memoryMib = 1536, devices = [] } = options
  // A pipe of Node's is a pair of sockets: qemu takes the other ends for its ports, 3 to 5 here, 1 to 3 in the machine.
  const ports = [1, 2, 3].flatMap((port) => [
    ...['-chardev', `socket,id=port${port},fd=${port + 2}`],
    ...['-device', `virtserialport,nr=${port},chardev=port${port}`],
  ])
  return [
    ...['-accel', 'tcg', '-cpu', 'qemu64', '-m', String(memoryMib)],
    // An instruction takes a nanosecond of the machine's time, however long it takes here: no deadline in it is missed
    // because this is slow, or busy with something else.
    ...['-icount', 'shift=0,sleep=on'],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-serial', 'stdio'],
    ...['-kernel', kernel.image, '-initrd', initrd, '-append', 'console=ttyS0 loglevel=5 panic=-1'],
    ...['-virtfs', 'local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap'],
    ...['-device', 'virtio-serial-pci,max_ports=4', ...ports, ...devices],
  ]
}

/** The initial RAM disk: busybox, the modules it takes to see the host's files, and what to do then. */
async function makeInitrd(folder: string, kernel: Kernel, command: readonly string[]): Promise<string> {
  const disk = join(folder, 'disk')
  for (const name of ['bin', 'dev', 'host', 'memory', 'modules', 'proc', 'root'])
    mkdirSync(join(disk, name), { recursive: true })
  copyFileSync(join(PROJECT, 'test/vm/initrd.sh'), join(disk, 'init'))
  chmodSync(join(disk, 'init'), 0o755)
  copyFileSync(await busybox(), join(disk, 'bin/busybox'))
  for (const applet of ['cp', 'insmod', 'mkdir', 'mount', 'sh', 'switch_root', 'umount'])
    symlinkSync('busybox', join(disk, 'bin', applet))

  const modprobe = ['modprobe', '-d', kernel.root, '-S', kernel.release, '--show-depends', '-a', ...FIRST_MODULES]
  const lines = await run('env', `PATH=${PATH}`, ...modprobe)
  const paths = new Set([...lines.matchAll(/^insmod (.*?) *$/gm)].map(([, path = '']) => path))
  for (const [index, path] of [...paths].entries())
    copyFileSync(path, join(disk, 'modules', `${String(index).padStart(2, '0')}-${basename(path)}`))

  writeFileSync(join(disk, 'settings'), `project=${quoted(PROJECT)}\nmodules=${quoted(`${kernel.root}/lib/modules`)}\n`)
  const environment = `PATH=${quoted(dirname(process.execPath))}:$PATH NODE_OPTIONS=--import=/load-stripped.mjs`
  writeFileSync(
    join(disk, 'command'),
    `cd ${quoted(PROJECT)}\nexport ${environment}\nexec ${command.map(quoted).join(' ')}\n`,
  )
  const stripped = strippedSources()
  writeFileSync(join(disk, 'stripped.json'), JSON.stringify(stripped))
  writeFileSync(join(disk, 'load-stripped.mjs'), stripped[join(PROJECT, 'test/vm/load-stripped.ts')] ?? '')
  const archive = join(folder, 'initrd')
  await run('sh', '-c', 'cd "$0" && find . | busybox cpio -o -H newc >"$1"', disk, archive)
  return archive
}

/** The project's TypeScript as Node runs it, by path: see load-stripped.ts. */
function strippedSources(): Record<string, string> {
  const folders = ['agent', 'bench', 'bin', 'ctl', 'ipam', 'plugin', 'test']
  const paths = folders.flatMap((folder) => globSync(join(PROJECT, folder, '**/*.ts')))
  return Object.fromEntries(paths.map((path) => [path, stripTypeScriptTypes(readFileSync(path, 'utf8'))]))
}

async function busybox(): Promise<string> {
  return (await run('sh', '-c', 'command -v busybox')).trim()
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`
}
