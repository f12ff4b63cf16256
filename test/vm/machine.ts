import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex, Readable, Writable } from 'node:stream'
import type { Output } from '../kernel/scratch.ts'
import { makeInitrd, quoted } from './initrd.ts'
import { debianKernel, type Kernel } from './kernel.ts'

/** Ten seconds; minutes where many others want the host's processors. */
const BOOT_TIMEOUT_MS = 900_000
/** What takes a second here takes a minute where a machine gets a fortieth of a processor. */
const COMMAND_TIMEOUT_MS = 300_000
const CONSOLE_CHARACTERS = 20_000
/** Port 1 to 3 of init.sh, then the cable: qemu's file descriptors. */
const FIRST_PORT_FD = 3
const CABLE_FD = 6

/** A machine that is no more: it was ended, it crashed, or it never began. */
export class MachineEndedError extends Error {
  readonly code = 'MACHINE_ENDED' as const
  /** What the command wrote till then, stdout before stderr. */
  readonly output: string

  constructor(reason: string, console: string, output: string) {
    super(`the virtual machine ended: ${reason}; it said last:\n${console}`)
    this.output = output
  }
}

export interface MachineOptions {
  readonly memoryMib?: number
  /** The MAC of its network interface, eth0, which has the other end of the machine's `cable`; none without it. */
  readonly mac?: string
}

/**
 * A virtual machine with Debian's own kernel, which runs one command after another, as root, in the project's folder.
 * It has the host's files; what it changes of them is in its own memory. It takes neither root nor KVM.
 */
export class Machine {
  /** The frames of eth0, each behind its length in four bytes; the machine's end is open for as long as the machine runs. */
  readonly cable: Duplex
  readonly #qemu: ChildProcess
  readonly #commands: Writable
  readonly #stdout: Port
  readonly #stderr: Port
  readonly #exitCodes: Port
  /** The newest of what the kernel said, and qemu. */
  #console = ''
  #reason = 'by itself'

  private constructor(qemu: ChildProcess) {
    this.#qemu = qemu
    const [, , , stdio, stderr, exitCodes, cable] = qemu.stdio as readonly unknown[]
    this.cable = cable as Duplex
    this.#commands = stdio as Writable
    this.#commands.on('error', () => {}) // it has ended: the ports tell
    this.#stdout = messages(stdio as Readable)
    this.#stderr = messages(stderr as Readable)
    this.#exitCodes = messages(exitCodes as Readable)
    for (const stream of [qemu.stdout, qemu.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#console = (this.#console + text).slice(-CONSOLE_CHARACTERS)
      })
    qemu.on('error', ({ message }) => (this.#reason = message))
  }

  /** @throws Error when there is no kernel for it, MachineEndedError when it does not come up */
  static async boot(options: MachineOptions = {}): Promise<Machine> {
    const kernel = await debianKernel()
    const folder = mkdtempSync(join(tmpdir(), 'bramble-vm-'))
    try {
      const args = qemuArguments(kernel, await makeInitrd(folder, kernel), options)
      const machine = new Machine(
        // Ends with the test, however that ends.
        spawn('setpriv', ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...args], {
          stdio: ['ignore', ...Array<'pipe'>(6).fill('pipe')],
        }),
      )
      await machine.run(['true'], BOOT_TIMEOUT_MS)
      return machine
    } finally {
      rmSync(folder, { recursive: true })
    }
  }

  /**
   * Runs a program; a second one waits for the first.
   * @param timeoutMs after this the machine is ended
   * @throws MachineEndedError
   */
  async run(command: readonly string[], timeoutMs = COMMAND_TIMEOUT_MS): Promise<Output> {
    const line = command.map(quoted).join(' ')
    if (line.includes('\n')) throw new Error(`a command for a machine is one line: ${line}`)
    this.#commands.write(`${line}\n`)
    const timer = setTimeout(() => {
      this.#reason = `${command.join(' ')} took more than ${timeoutMs / 1000} s`
      this.end()
    }, timeoutMs)
    const [stdout, stderr, code] = await Promise.all(
      [this.#stdout, this.#stderr, this.#exitCodes].map((port) => port.next()),
    )
    clearTimeout(timer)
    if (!stdout || !stderr || !code || code.done)
      throw new MachineEndedError(this.#reason, this.#console, `${stdout?.value}${stderr?.value}`)
    return { exitCode: Number(code.value), stdout: stdout.value, stderr: stderr.value }
  }

  /** Pulls the plug. */
  end(): void {
    this.#qemu.kill('SIGKILL')
  }
}

function qemuArguments(kernel: Kernel, initrd: string, { memoryMib = 1536, mac }: MachineOptions): string[] {
  // A pipe of Node's is a pair of sockets: qemu takes the other ends.
  const ports = [1, 2, 3].flatMap((port) => [
    ...['-chardev', `socket,id=port${port},fd=${FIRST_PORT_FD + port - 1}`],
    ...['-device', `virtserialport,nr=${port},chardev=port${port}`],
  ])
  const nic = [
    '-netdev',
    `socket,id=cable,fd=${CABLE_FD}`,
    '-device',
    `virtio-net-pci,netdev=cable,mac=${mac},romfile=`,
  ]
  return [
    ...['-accel', 'tcg', '-cpu', 'qemu64', '-m', String(memoryMib)],
    // An instruction takes a nanosecond of the machine's time, however long it takes here: no deadline in it is missed
    // because this is slow, or busy with something else.
    ...['-icount', 'shift=0,sleep=on'],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-serial', 'stdio'],
    ...['-kernel', kernel.image, '-initrd', initrd],
    ...['-append', 'console=ttyS0 loglevel=5 panic=-1 mitigations=off init_on_alloc=0 apparmor=0'],
    ...['-virtfs', 'local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap'],
    ...['-device', 'virtio-serial-pci,max_ports=4', ...ports, ...(mac ? nic : [])],
  ]
}

type Port = AsyncGenerator<string, string>

/** Texts that end with NUL each; at the end, the one that has none. */
async function* messages(stream: Readable): Port {
  let rest = ''
  try {
    for await (const text of stream.setEncoding('utf8')) {
      const parts = (rest + text).split('\0')
      rest = parts.pop() ?? ''
      yield* parts
    }
  } catch {} // a connection that was reset is at its end, too
  return rest
}
