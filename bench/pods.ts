import { randomBytes } from 'node:crypto'
import { capture, run } from '../test/kernel/scratch.ts'

/** What a runtime has made before it calls a plugin: a container id and a network namespace. */
export interface Pod {
  readonly containerId: string
  readonly netns: string
  /** Which pod it is to Kubernetes; absent: one of which nobody has told. */
  readonly pod?: { readonly namespace: string; readonly name: string; readonly uid: string }
}

/**
 * Makes `count` network namespaces. In each, duplicate address detection is off by default: with it on, `ptp` waits
 * 1.7 s for every IPv6 address, and there would be nothing left to compare.
 */
export async function makePods(prefix: string, count: number): Promise<Pod[]> {
  const names = Array.from({ length: count }, (_, i) => `${prefix}${i}`)
  const made = await capture('ip', ['-batch', '-'], names.map((name) => `netns add ${name}\n`).join(''))
  if (made.exitCode !== 0) throw new Error(made.stderr)
  for (const name of names)
    await run('nsenter', `--net=/run/netns/${name}`, 'sh', '-c', 'echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad')
  return names.map((name) => ({ containerId: containerId(), netns: `/run/netns/${name}` }))
}

/** The same namespaces for the next round, as new containers: an id is never seen twice, as with a real runtime. */
export function renew(pods: readonly Pod[]): Pod[] {
  return pods.map((pod) => ({ ...pod, containerId: containerId() }))
}

/** 64 hex digits, like the ids of containerd. */
function containerId(): string {
  return randomBytes(32).toString('hex')
}
