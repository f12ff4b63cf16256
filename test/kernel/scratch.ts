import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmdirSync } from 'node:fs'
import { bind } from '../../agent/kernel/libc.ts'

/**
 * A scratch node: this very process, in network and mount namespaces of its own, with an empty tmpfs on /run.
 * All it starts lives there too, and all it makes there (links, routes, namespaces, sockets) ends with it: a test
 * that dies in the middle leaves nothing on the machine.
 */

// include/uapi/linux/sched.h, include/uapi/linux/mount.h
const CLONE_NEWNS = 0x0002_0000
const CLONE_NEWNET = 0x4000_0000
const MS_BIND = 0x1000
const MS_MOVE = 0x2000
const MS_REC = 0x4000
const MS_PRIVATE = 0x4_0000
const MNT_DETACH = 2

const unshare = bind<[number]>('int unshare(int flags)')
const mount = bind<[string, string, string, number, string]>(
  'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
)

const umount2 = bind<[string, number]>('int umount2(const char *target, int flags)')

/** Call it once, at the top of a test file, before anything opens a socket or starts a process. */
export async function enterScratchNode(): Promise<void> {
  unshare(CLONE_NEWNET | CLONE_NEWNS)
  mount('none', '/', 'none', MS_REC | MS_PRIVATE, '')
  // The machine's namespaces would be held for as long as we live, and containerd finds mounts by paths, hidden ones too.
  if (/ \/run\/netns /.test(readFileSync('/proc/self/mountinfo', 'utf8'))) umount2('/run/netns', MNT_DETACH)
  mount('tmpfs', '/run', 'tmpfs', 0, 'mode=755')
  mountSys()
  mkdirSync('/run/netns')
  await run('ip', 'link', 'set', 'lo', 'up')
}

/** /sys shows the links of the network namespace it was mounted in; the cgroups, a mount below it, stay as they were. */
function mountSys(): void {
  mkdirSync('/run/cgroup')
  mount('/sys/fs/cgroup', '/run/cgroup', 'none', MS_BIND | MS_REC, '')
  mount('sysfs', '/sys', 'sysfs', 0, '')
  mount('/run/cgroup', '/sys/fs/cgroup', 'none', MS_MOVE, '')
  rmdirSync('/run/cgroup')
}

export interface Output {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end and tells what came out; it is killed after 60 s. Never a shell. */
export function capture(program: string, args: readonly string[], stdin = ''): Promise<Output> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { timeout: 60_000, killSignal: 'SIGKILL' })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (signal) stderr += `\nended by ${signal}`
      resolve({ exitCode: code ?? 128, stdout, stderr })
    })
    child.stdin.on('error', () => {}) // the program may end without reading it
    child.stdin.end(stdin)
  })
}

/** Like capture, for programs that must succeed. @throws Error with the program's stderr */
export async function run(program: string, ...args: readonly string[]): Promise<string> {
  const output = await capture(program, args)
  if (output.exitCode !== 0)
    throw new Error(`${program} ${args.join(' ')}: exit ${output.exitCode}: ${output.stderr || output.stdout}`)
  return output.stdout
}

/** Makes a named network namespace (in this scratch node's own /run/netns), as a container runtime would. */
export async function makeNetns(name: string): Promise<string> {
  await run('ip', 'netns', 'add', name)
  return `/run/netns/${name}`
}
