import { join } from 'node:path'
import { credentials, type GrpcObject, loadPackageDefinition, type ServiceClientConstructor } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import type { Output } from '../scratch.ts'

/** StopContainer waits for as long as the grace period lets it. */
const CALL_TIMEOUT_MS = 60_000

export interface PodSandboxConfig {
  readonly metadata: {
    readonly name: string
    readonly namespace: string
    readonly uid: string
  }
  readonly hostname: string
  readonly portMappings: readonly PortMapping[]
  /** Absent: nothing is kept of what its containers say. */
  readonly logDirectory?: string
  readonly linux: {
    readonly cgroupParent: string
    readonly securityContext?: { readonly namespaceOptions: NamespaceOptions }
  }
}

export interface NamespaceOptions {
  readonly network: 'POD' | 'NODE'
  readonly pid: 'CONTAINER'
}

/** As kubelet makes it of a pod's spec. */
export interface ContainerConfig {
  readonly metadata: { readonly name: string }
  readonly image: { readonly image: string }
  readonly command: readonly string[]
  readonly args?: readonly string[]
  readonly envs?: readonly { readonly key: string; readonly value: string }[]
  readonly mounts?: readonly {
    readonly containerPath: string
    readonly hostPath: string
    readonly readonly: boolean
    readonly propagation: 'PROPAGATION_PRIVATE' | 'PROPAGATION_HOST_TO_CONTAINER' | 'PROPAGATION_BIDIRECTIONAL'
  }[]
  readonly logPath?: string
  readonly linux?: { readonly securityContext: object }
}

export interface PortMapping {
  readonly protocol: 'TCP' | 'UDP' | 'SCTP'
  readonly hostPort: number
  readonly containerPort: number
}

/** Of what `crictl inspectp` shows. */
export interface PodSandboxStatus {
  /** All addresses of the sandbox, in the order in which the plugin gave them. */
  readonly addresses: readonly string[]
  readonly info: { readonly runtimeSpec: { readonly linux: { readonly namespaces: readonly Namespace[] } } }
}

interface Namespace {
  readonly type: string
  readonly path?: string
}

interface Condition {
  readonly type: string
  readonly status: boolean
  readonly message: string
}

/** What kubelet would call. Every call rejects with the runtime's own words, and after a minute. */
export interface Cri {
  conditions(): Promise<readonly Condition[]>
  hasImage(image: string): Promise<boolean>
  runPodSandbox(config: PodSandboxConfig, runtimeHandler?: string): Promise<string>
  stopPodSandbox(id: string): Promise<void>
  removePodSandbox(id: string): Promise<void>
  podSandboxStatus(id: string): Promise<PodSandboxStatus>
  podSandboxIds(): Promise<readonly string[]>
  /** @param command empty for the image's own */
  runContainer(sandboxId: string, sandbox: PodSandboxConfig, image: string, command: readonly string[]): Promise<string>
  startContainer(sandboxId: string, sandbox: PodSandboxConfig, config: ContainerConfig): Promise<string>
  /** SIGTERM, and SIGKILL after the time. */
  stopContainer(id: string, timeoutSeconds: number): Promise<void>
  /** undefined while it runs. */
  exitCode(id: string): Promise<number | undefined>
  exec(containerId: string, ...command: readonly string[]): Promise<Output>
  close(): void
}

type Call = <Answer>(method: string, request: object) => Promise<Answer>

export function connectCri(socketPath: string): Cri {
  const definition = loadSync(join(import.meta.dirname, 'cri.proto'), {
    longs: Number,
    enums: String,
    defaults: true,
  })
  const services = (loadPackageDefinition(definition).runtime as GrpcObject).v1 as GrpcObject
  const [runtime, closeRuntime] = connect(services.RuntimeService as ServiceClientConstructor, socketPath)
  const [images, closeImages] = connect(services.ImageService as ServiceClientConstructor, socketPath)
  const startContainer: Cri['startContainer'] = async (podSandboxId, sandboxConfig, config) => {
    const request = { podSandboxId, config, sandboxConfig }
    const { containerId } = await runtime<{ containerId: string }>('CreateContainer', request)
    await runtime('StartContainer', { containerId })
    return containerId
  }
  return {
    conditions: async () => (await runtime<{ status: { conditions: Condition[] } }>('Status', {})).status.conditions,
    hasImage: async (image) =>
      (await images<{ image: object | null }>('ImageStatus', { image: { image } })).image !== null,
    runPodSandbox: async (config, runtimeHandler = '') =>
      (await runtime<{ podSandboxId: string }>('RunPodSandbox', { config, runtimeHandler })).podSandboxId,
    stopPodSandbox: (podSandboxId) => runtime('StopPodSandbox', { podSandboxId }),
    removePodSandbox: (podSandboxId) => runtime('RemovePodSandbox', { podSandboxId }),
    podSandboxStatus: async (podSandboxId) => {
      const { status, info } = await runtime<PodSandboxStatusResponse>('PodSandboxStatus', {
        podSandboxId,
        verbose: true,
      })
      const { ip, additionalIps } = status.network
      return { addresses: [ip, ...additionalIps.map((other) => other.ip)], info: JSON.parse(info.info) }
    },
    podSandboxIds: async () =>
      (await runtime<{ items: { id: string }[] }>('ListPodSandbox', {})).items.map(({ id }) => id),
    runContainer: (podSandboxId, sandboxConfig, image, command) =>
      startContainer(podSandboxId, sandboxConfig, { metadata: { name: 'main' }, image: { image }, command }),
    startContainer,
    stopContainer: (containerId, timeout) => runtime('StopContainer', { containerId, timeout }),
    exitCode: async (containerId) => {
      const { status } = await runtime<{ status: { state: string; exitCode: number } }>('ContainerStatus', {
        containerId,
      })
      return status.state === 'CONTAINER_EXITED' ? status.exitCode : undefined
    },
    exec: async (containerId, ...cmd) => {
      const { exitCode, stdout, stderr } = await runtime<ExecSyncResponse>('ExecSync', {
        containerId,
        cmd,
        timeout: 20,
      })
      return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() }
    },
    close: () => {
      closeRuntime()
      closeImages()
    },
  }
}

interface PodSandboxStatusResponse {
  readonly status: {
    readonly network: { readonly ip: string; readonly additionalIps: readonly { readonly ip: string }[] }
  }
  readonly info: { readonly info: string }
}

interface ExecSyncResponse {
  readonly exitCode: number
  readonly stdout: Buffer
  readonly stderr: Buffer
}

function connect(Service: ServiceClientConstructor, socketPath: string): [call: Call, close: () => void] {
  const client = new Service(`unix://${socketPath}`, credentials.createInsecure(), { 'grpc.enable_http_proxy': 0 })
  const call: Call = (method, request) =>
    new Promise((resolve, reject) => {
      const options = { deadline: Date.now() + CALL_TIMEOUT_MS }
      client[method]?.(request, options, (error: Error | null, answer: never) => {
        if (error) reject(error)
        else resolve(answer)
      })
    })
  return [call, () => client.close()]
}
