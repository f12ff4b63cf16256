import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import type { Output } from '../scratch.ts'
import type { ContainerConfig, PodSandboxConfig } from './cri.ts'
import type { Containerd } from './daemon.ts'

/**
 * A pod of a DaemonSet, from its manifest, as kubelet hands it to the runtime (pkg/kubelet/kuberuntime): what the manifest says,
 * and what kubelet adds to every pod: the service account's files, the API server's address, the paths of /proc that are
 * masked or read-only.
 */
export interface DaemonPod {
  readonly marks: readonly string[]
  exec(...command: readonly string[]): Promise<Output>
  /** What its container said on stdout, as parsed JSON lines. */
  log(): Record<string, unknown>[]
  /** All that it said. */
  output(): string
  exitCode(): Promise<number | undefined>
  /** As when it is deleted: SIGTERM, the grace period, gone. */
  remove(): Promise<void>
}

export interface Surroundings {
  readonly nodeName: string
  /** Of the API server. */
  readonly host: string
  readonly port: number
  /** ca.crt, token, namespace */
  readonly serviceAccount: Readonly<Record<string, string>>
}

// biome-ignore lint/suspicious/noExplicitAny: a manifest may hold anything; what is missing fails the test
type Manifest = any

/** pkg/securitycontext/util.go, of a pod that is not privileged. */
const MASKED_PATHS = [
  '/proc/asound',
  '/proc/acpi',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
]
const READONLY_PATHS = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']
const PROPAGATION = {
  None: 'PROPAGATION_PRIVATE',
  HostToContainer: 'PROPAGATION_HOST_TO_CONTAINER',
  Bidirectional: 'PROPAGATION_BIDIRECTIONAL',
} as const
const FILES = '/run/kubelet'

/**
 * @param manifests what was applied, one after the other: of two DaemonSets the last counts
 * @param name of one of its containers, the first ones included; absent: the container
 */
export async function startDaemonPod(
  { cri, cgroup }: Containerd,
  manifests: string,
  surroundings: Surroundings,
  name?: string,
): Promise<DaemonPod> {
  const objects: Manifest[] = parseAllDocuments(manifests).map((document) => document.toJS())
  const daemonSet = objects.findLast(({ kind }) => kind === 'DaemonSet')
  const { spec } = daemonSet.spec.template
  const containers: Manifest[] = [...spec.containers, ...(spec.initContainers ?? [])]
  const container = name === undefined ? containers[0] : containers.find((one) => one.name === name)
  const uid = `uid-${++count}`
  const home = join(FILES, uid)
  const sandbox: PodSandboxConfig = {
    metadata: { name: `${daemonSet.metadata.name}-${count}`, namespace: daemonSet.metadata.namespace, uid },
    hostname: '', // in the node's own network a pod has the node's name
    logDirectory: home,
    portMappings: [],
    linux: {
      cgroupParent: `/${cgroup}`,
      securityContext: { namespaceOptions: { network: spec.hostNetwork ? 'NODE' : 'POD', pid: 'CONTAINER' } },
    },
  }
  mkdirSync(home, { recursive: true })
  const config: ContainerConfig = {
    metadata: { name: container.name },
    image: { image: container.image },
    command: container.command ?? [],
    args: container.args ?? [],
    envs: environment(container, surroundings),
    mounts: [
      ...(container.volumeMounts ?? []).map((mount: Manifest) => mountOf(mount, spec, objects, home, surroundings)),
      ...(spec.automountServiceAccountToken === false ? [] : [serviceAccount(home, surroundings)]),
    ],
    logPath: `${container.name}.log`,
    linux: { securityContext: securityContext(container.securityContext ?? {}, sandbox) },
  }
  const id = await cri.runPodSandbox(sandbox)
  const containerId = await cri.startContainer(id, sandbox, config).catch(async (error: unknown) => {
    await cri.stopPodSandbox(id)
    await cri.removePodSandbox(id)
    throw error
  })
  const output = () => said(join(home, config.logPath ?? ''))
  let removed: Promise<void> | undefined
  return {
    marks: [id, containerId],
    exec: (...command) => cri.exec(containerId, ...command),
    output,
    log: () =>
      output()
        .split('\n')
        .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : [])),
    exitCode: () => cri.exitCode(containerId),
    remove: () =>
      (removed ??= cri
        .stopContainer(containerId, spec.terminationGracePeriodSeconds ?? 30)
        .then(() => cri.stopPodSandbox(id))
        .then(() => cri.removePodSandbox(id))),
  }
}

let count = 0

function environment({ env = [] }: Manifest, { nodeName, host, port }: Surroundings) {
  const own = env.map(({ name, value, valueFrom }: Manifest) => {
    if (valueFrom && valueFrom.fieldRef?.fieldPath !== 'spec.nodeName') throw new Error(`env ${name}: not known here`)
    return { key: name, value: value ?? nodeName }
  })
  return [
    ...own,
    { key: 'KUBERNETES_SERVICE_HOST', value: host },
    { key: 'KUBERNETES_SERVICE_PORT', value: String(port) },
  ]
}

function securityContext(context: Manifest, { linux }: PodSandboxConfig): object {
  const { capabilities = {}, readOnlyRootFilesystem = false, privileged = false, seccompProfile } = context
  return {
    capabilities: { addCapabilities: capabilities.add ?? [], dropCapabilities: capabilities.drop ?? [] },
    privileged,
    readonlyRootfs: readOnlyRootFilesystem,
    namespaceOptions: linux.securityContext?.namespaceOptions,
    maskedPaths: privileged ? [] : MASKED_PATHS,
    readonlyPaths: privileged ? [] : READONLY_PATHS,
    seccomp: { profileType: seccompProfile?.type ?? 'Unconfined' },
  }
}

function mountOf(
  { name, mountPath, readOnly = false, mountPropagation = 'None' }: Manifest,
  spec: Manifest,
  objects: Manifest[],
  home: string,
  { serviceAccount }: Surroundings,
) {
  const volume = spec.volumes.find((one: Manifest) => one.name === name)
  if (!volume) throw new Error(`volumeMounts: no volume ${name}`)
  return {
    containerPath: mountPath,
    hostPath: volume.projected
      ? projected(volume.projected, serviceAccount, join(home, name))
      : hostPathOf(volume, objects, join(home, name)),
    readonly: readOnly,
    propagation: PROPAGATION[mountPropagation as keyof typeof PROPAGATION],
  }
}

function hostPathOf({ name, hostPath, configMap, emptyDir }: Manifest, objects: Manifest[], folder: string): string {
  if (hostPath) {
    if (hostPath.type === 'DirectoryOrCreate') mkdirSync(hostPath.path, { recursive: true })
    return hostPath.path
  }
  if (emptyDir) {
    mkdirSync(folder, { recursive: true })
    return folder
  }
  const map = objects.find((one) => one.kind === 'ConfigMap' && one.metadata.name === configMap?.name)
  if (!map) throw new Error(`volume ${name}: not known here`)
  writeAll(folder, map.data)
  return folder
}

/** The token, and of the ConfigMap that every namespace has, the certificate. */
function projected({ sources }: Manifest, serviceAccount: Surroundings['serviceAccount'], folder: string): string {
  const { token: text = '' } = serviceAccount
  for (const { serviceAccountToken: token, configMap: map, ...other } of sources) {
    if (map && map.name !== 'kube-root-ca.crt') throw new Error(`projected ConfigMap ${map.name}: not known here`)
    if (!token && !map) throw new Error(`projected ${Object.keys(other)}: not known here`)
    if (token) writeAll(folder, { [token.path]: text })
    for (const { key, path } of map?.items ?? []) writeAll(folder, { [path]: serviceAccount[key] ?? '' })
  }
  return folder
}

function serviceAccount(home: string, { serviceAccount }: Surroundings) {
  const folder = join(home, 'serviceaccount')
  writeAll(folder, serviceAccount)
  const containerPath = '/var/run/secrets/kubernetes.io/serviceaccount'
  return { containerPath, hostPath: folder, readonly: true, propagation: 'PROPAGATION_PRIVATE' as const }
}

function writeAll(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), content)
  }
}

/** `2026-08-01T10:00:00.123456789Z stdout F TEXT`; a long line comes in pieces with P. */
function said(path: string): string {
  try {
    return readFileSync(path, 'utf8').replace(
      /^\S+ (?:stdout|stderr) ([FP]) (.*)\n/gm,
      (_, kind: string, text: string) => text + (kind === 'F' ? '\n' : ''),
    )
  } catch {
    return '' // nothing yet
  }
}
