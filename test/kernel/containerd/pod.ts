import { basename } from 'node:path'
import { capture, type Output } from '../scratch.ts'
import type { PodSandboxConfig, PortMapping } from './cri.ts'
import { type Containerd, IMAGE } from './daemon.ts'

export interface Pod {
  readonly id: string
  readonly name: string
  /** As the runtime reports them, in the plugin's order. */
  readonly addresses: readonly string[]
  readonly netnsPath: string
  /** What the machine would show of it, were it not removed whole. */
  readonly marks: readonly string[]
  /** Runs a program of the node in the pod's network namespace. */
  run(program: string, ...args: readonly string[]): Promise<Output>
  /** Starts a container in it, with this command or the image's own; what it returns runs programs in the container. */
  startContainer(...command: readonly string[]): Promise<(...command: readonly string[]) => Promise<Output>>
  /** As kubelet does it. May be called again. */
  remove(): Promise<void>
}

export interface PodOptions {
  readonly runtimeHandler?: string
  readonly portMappings?: readonly PortMapping[]
}

/** Runs a pod sandbox, as kubelet does for a pod of this name in the namespace `shop`. */
export async function startPod(
  { cri, cgroup }: Containerd,
  name: string,
  { runtimeHandler = '', portMappings = [] }: PodOptions = {},
): Promise<Pod> {
  const config: PodSandboxConfig = {
    metadata: { name, namespace: 'shop', uid: `uid-of-${name}` },
    hostname: name,
    portMappings,
    linux: { cgroupParent: `/${cgroup}` },
  }
  const id = await cri.runPodSandbox(config, runtimeHandler)
  const { addresses, info } = await cri.podSandboxStatus(id)
  const netnsPath = info.runtimeSpec.linux.namespaces.find(({ type }) => type === 'network')?.path ?? ''
  let removed: Promise<void> | undefined
  return {
    id,
    name,
    addresses,
    netnsPath,
    marks: [id, basename(netnsPath)],
    run: (program, ...args) => capture('nsenter', [`--net=${netnsPath}`, program, ...args]),
    startContainer: async (...main) => {
      const container = await cri.runContainer(id, config, IMAGE, main)
      return (...command) => cri.exec(container, ...command)
    },
    remove: () => (removed ??= cri.stopPodSandbox(id).then(() => cri.removePodSandbox(id))),
  }
}

/** The arguments of busybox for one packet there and back, within 2 s. */
export function ping(address: string): string[] {
  return [address.includes(':') ? 'ping6' : 'ping', '-c', '1', '-W', '2', address]
}
