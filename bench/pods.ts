import { randomBytes } from 'node:crypto'
import { capture, run } from '../test/kernel/scratch.ts'

/** What a runtime has made before it calls a plugin: a container id and a network namespace. */
export interface Pod {
  readonly containerId: string
  readonly netns: string
  /** Which pod it is to Kubernetes; absent: one of which nobody else has told. */
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

/** As the runtime tells who it is; no two have a name in common. */
export function cniArgs({ containerId, pod }: Pod): string {
  const { namespace, name, uid } = pod ?? { namespace: 'bench', name: `pod-${containerId.slice(0, 12)}`, uid: '' }
  const names = `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name}`
  return uid === '' ? names : `${names};K8S_POD_UID=${uid}`
}

/** 64 hex digits, like the ids of containerd. */
function containerId(): string {
  return randomBytes(32).toString('hex')
}
