import { join } from 'node:path'
import { credentials, type GrpcObject, loadPackageDefinition, type ServiceClientConstructor } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import type { Output } from '../scratch.ts'

const CALL_TIMEOUT_MS = 30_000

export interface PodSandboxConfig {
  readonly metadata: {
    readonly name: string
    readonly namespace: string
    readonly uid: string
  }
  readonly hostname: string
  readonly portMappings: readonly PortMapping[]
  readonly linux: { readonly cgroupParent: string }
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

/** What kubelet would call. Every call rejects with the runtime's own words, and after 30 s. */
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
    runContainer: async (podSandboxId, sandboxConfig, image, command) => {
      const config = { metadata: { name: 'main' }, image: { image }, command }
      const request = { podSandboxId, config, sandboxConfig }
      const { containerId } = await runtime<{ containerId: string }>('CreateContainer', request)
      await runtime('StartContainer', { containerId })
      return containerId
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
