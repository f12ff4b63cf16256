import { type ChildProcess, spawn } from 'node:child_process'
import { openSync, readFileSync } from 'node:fs'

/** File systems that end on somebody's disk although the kernel needs no block device for them. */
const DISKS_WITHOUT_DEVICE = ['overlay', '9p', 'virtiofs', 'nfs', 'nfs4']

/**
 * Starts a program in a mount namespace of its own in which every disk is read-only: no file outside tmpfs can
 * change by its hand. It still sees the network namespaces that are made later.
 * @param command  the program and its arguments; another `exec` on the way to it does no harm
 * @param ioBefore  a file that gets the process's /proc/PID/io from just before the program begins: looking up the
 *   shell and `mount` may have touched an access time, which the kernel counts as a write
 * @param output  a file for its stdout and stderr
 */
export function spawnWithDisksReadOnly(command: readonly string[], ioBefore: string, output: string): ChildProcess {
  const script = `for disk in $DISKS; do mount -o remount,bind,ro "$disk" || exit; done
    cat /proc/$$/io > "$IO_BEFORE"; exec "$@"`
  const outputFd = openSync(output, 'a')
  return spawn('unshare', ['--mount', '--propagation', 'slave', 'sh', '-c', script, 'sh', ...command], {
    env: { ...process.env, DISKS: diskMounts().join(' '), IO_BEFORE: ioBefore },
    stdio: ['ignore', outputFd, outputFd],
  })
}

/** Where disks are mounted. What was below /run is hidden by the scratch node's tmpfs. */
function diskMounts(): string[] {
  const withDevice = lines('/proc/filesystems').flatMap((line) => (line.startsWith('nodev') ? [] : [line.trim()]))
  const kinds = new Set([...withDevice, ...DISKS_WITHOUT_DEVICE])
  return lines('/proc/self/mounts')
    .map((line) => line.split(' '))
    .flatMap(([, at = '', kind = '']) => (kinds.has(kind) && !at.startsWith('/run/') ? [at] : []))
}

function lines(path: string): string[] {
  return readFileSync(path, 'utf8').trimEnd().split('\n')
}
