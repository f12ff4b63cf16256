import { execFile } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { run } from '../kernel/scratch.ts'
import { arm64Kernel } from '../vm/arm64-kernel.ts'

/** Emulated, on a machine that may be busy: it takes half a minute where nothing else runs. */
const TIMEOUT_MS = 400_000

/** By the size of a kernel's pages, in KiB, the processor of the Pi that has them: that of a Pi 4 knows none of 16. */
const PROCESSORS = { 4: 'cortex-a72', 16: 'cortex-a76' } as const

/** What one step of arm64-init.sh printed, both its outputs as one, and how it ended. */
export interface Step {
  readonly output: string
  readonly exitCode: number
}

/**
 * Boots a machine that has nothing but a root file system and a kernel's modules, in memory; its first process is
 * arm64-init.sh.
 * @returns the steps, by name
 * @throws Error with all that it said, when it does not get to its end
 */
export async function runArm64Machine(pagesKib: 4 | 16, root: string): Promise<ReadonlyMap<string, Step>> {
  const kernel = await arm64Kernel(pagesKib)
  const folder = mkdtempSync(join(tmpdir(), 'bramble-arm64-'))
  try {
    const more = join(folder, 'more')
    mkdirSync(join(more, 'usr'), { recursive: true })
    cpSync(join(kernel.root, 'usr/lib'), join(more, 'usr/lib'), { recursive: true })
    cpSync(join(import.meta.dirname, 'arm64-init.sh'), join(more, 'init'))
    chmodSync(join(more, 'init'), 0o755)
    const initrd = join(folder, 'initrd')
    // The kernel unpacks one archive after the other.
    for (const part of [root, more])
      await run('sh', '-c', 'cd "$0" && find . | busybox cpio -o -H newc >>"$1"', part, initrd)

    const args = [
      ...['-M', 'virt', '-cpu', PROCESSORS[pagesKib], '-m', '1024'],
      // An instruction takes a nanosecond of the machine's time: see test/vm/machine.ts.
      ...['-icount', 'shift=0,sleep=on'],
      ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-serial', 'stdio'],
      ...['-kernel', kernel.image, '-initrd', initrd, '-append', 'console=ttyAMA0 loglevel=3 panic=-1'],
    ]
    const options = { timeout: TIMEOUT_MS, killSignal: 'SIGKILL', maxBuffer: 10e6 } as const
    const qemu = promisify(execFile)('setpriv', ['--pdeathsig', 'KILL', 'qemu-system-aarch64', ...args], options)
    const { stdout } = await qemu.catch((error) => {
      throw new Error(`the machine came to no end; it said:\n${error.stdout}${error.stderr}`, { cause: error })
    })
    const steps = stepsOf(stdout.replaceAll('\r', ''))
    if (!steps.has('end')) throw new Error(`the machine ended before its end; it said:\n${stdout}`)
    return steps
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function stepsOf(console: string): ReadonlyMap<string, Step> {
  const found = console.matchAll(/^== (\S+)\n(.*?)\n?== exit (\d+)$/gms)
  return new Map(Array.from(found, ([, name = '', output = '', code]) => [name, { output, exitCode: Number(code) }]))
}
