import { get, kubectl } from './kubectl.ts'

/** What an agent takes of its node. */
export interface Footprint {
  readonly rssMib: number
  /** User and system, since it started. */
  readonly cpuS: number
  readonly writtenBytes: number
}

/** USER_HZ, which is 100 wherever Linux runs (include/asm-generic/param.h). */
const TICKS_PER_S = 100
const PROC_FILES = ['/proc/1/status', '/proc/1/stat', '/proc/1/io']

/** Of all agents, by the names of their pods; the agent is the first process of its container. */
export async function agentFootprints(): Promise<Footprint[]> {
  const { items } = await get('pods', '-n', 'kube-system', '-l', 'app.kubernetes.io/name=bramble')
  const names: string[] = items.map(({ metadata }: { metadata: { name: string } }) => metadata.name)
  return Promise.all(names.toSorted().map(footprint))
}

async function footprint(pod: string): Promise<Footprint> {
  const read = `for (const f of ${JSON.stringify(PROC_FILES)}) console.log(require('fs').readFileSync(f, 'utf8'))`
  const text = await kubectl(['exec', '-n', 'kube-system', pod, '--', '/opt/bramble/lib/node', '-e', read])
  const number = (pattern: RegExp) => Number(text.match(pattern)?.[1])
  // proc_pid_stat(5): utime and stime are the 14th and 15th, the name in parentheses the 2nd
  const ticks = (text.match(/^1 \(.*\) (.*)$/m)?.[1] ?? '').split(' ').slice(11, 13).map(Number)
  return {
    rssMib: number(/^VmRSS:\s+(\d+)/m) / 1024,
    cpuS: ticks.reduce((sum, count) => sum + count, 0) / TICKS_PER_S,
    writtenBytes: number(/^write_bytes: (\d+)/m),
  }
}

/** How often a kubelet could not start or end a pod's sandbox, since the namespace is there. */
export async function failedSandboxes(namespace: string): Promise<number> {
  const { items } = await get('events', '-n', namespace)
  return items
    .filter(({ reason }: { reason: string }) => /^Failed(CreatePodSandBox|KillPod)$/.test(reason))
    .reduce((sum: number, { count }: { count?: number }) => sum + (count ?? 1), 0)
}
