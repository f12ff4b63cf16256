import { readFileSync, writeFileSync } from 'node:fs'
import { KernelError } from './errors.ts'

/** A kernel setting of the network namespace that the thread is in, by its path below /proc/sys/net. */
export interface Sysctl {
  /** With slashes, since link names may hold dots: `ipv4/conf/eth0/rp_filter`. */
  readonly key: string
  readonly value: string
}

/**
 * Where they are written. A container's /proc/sys is read-only unless it is privileged; the same folder of the node, mounted
 * somewhere else, is not. It shows the settings of whoever looks at it, so namespaces are entered as ever.
 */
let writableDir = '/proc/sys/net'

/** Once, before any is written. */
export function writeSysctlsIn(dir: string): void {
  writableDir = dir
}

/** Synchronous: inside a foreign namespace nothing else may run in between. @throws KernelError */
export function putSysctl({ key, value }: Sysctl): void {
  // Writing this one takes the RTNL lock even where nothing changes (addrconf_fixup_forwarding in net/ipv6/addrconf.c).
  if (/^ipv6\/.*\/forwarding$/.test(key) && getSysctl(key) === value) return
  try {
    writeFileSync(`${writableDir}/${key}`, value)
  } catch (error) {
    throw new KernelError(`sysctl net/${key}=${value}`, (error as NodeJS.ErrnoException).code ?? 'EIO')
  }
}

/** @returns undefined where the kernel has no such setting */
export function getSysctl(key: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/net/${key}`, 'utf8').trim()
  } catch {
    return undefined
  }
}
