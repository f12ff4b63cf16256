import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { capture } from '../scratch.ts'

/** Where a container runtime and its plugins keep things, as the machine's first process sees it: outside our node. */
const FOLDERS = ['/run', '/tmp', '/var/lib/cni', '/var/lib/containerd'].map((folder) => `/proc/1/root${folder}`)

/**
 * What there is on the machine that carries one of these marks (a container id, a cgroup's name, `net:[4026532177]`):
 * mounts, cgroups, processes other than this one, files. Only what is marked, since others may work on the machine.
 */
export async function traces(marks: readonly string[]): Promise<string[]> {
  const mounts = readFileSync('/proc/1/mountinfo', 'utf8').split('\n')
  // find ends with 1 where something vanished on the way, or a folder does not exist
  const cgroups = (await capture('find', ['/sys/fs/cgroup', '-type', 'd'])).stdout.split('\n')
  const files = (await capture('find', [...FOLDERS, '-maxdepth', '5'])).stdout.split('\n')
  return [...mounts, ...cgroups, ...files, ...processes()].filter((line) => marks.some((mark) => line.includes(mark)))
}

function processes(): string[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
  return pids.flatMap((pid) => {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
      return `process ${pid} ${readlinkSync(`/proc/${pid}/ns/net`)} ${readFileSync(`/proc/${pid}/cgroup`, 'utf8')} ${command}`
    } catch {
      return [] // it ended in the meantime
    }
  })
}
