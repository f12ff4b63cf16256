import type { ApiObject } from '../../agent/cluster/kubernetes/answers.ts'

/** Objects of the API server, as far as the test reads them. Pure. */

export interface NodeObject extends ApiObject {
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[]
    readonly addresses?: readonly { readonly type: string; readonly address: string }[]
  }
}

export interface PodObject extends ApiObject {
  readonly spec?: { readonly nodeName?: string }
  readonly status?: {
    readonly phase?: string
    readonly reason?: string
    readonly message?: string
    readonly podIPs?: readonly { readonly ip: string }[]
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[]
    readonly containerStatuses?: readonly {
      readonly state?: {
        readonly waiting?: Reason
        readonly terminated?: Reason & { readonly exitCode?: number }
      }
    }[]
  }
}

interface Reason {
  readonly reason?: string
  readonly message?: string
}

export interface EventObject extends ApiObject {
  readonly type?: string
  readonly reason?: string
  readonly message?: string
  readonly lastTimestamp?: string | null
  readonly eventTime?: string | null
  readonly involvedObject?: { readonly name?: string }
}

export interface ServiceObject extends ApiObject {
  readonly spec?: { readonly clusterIP?: string; readonly clusterIPs?: readonly string[] }
}

export interface DaemonSetObject extends ApiObject {
  readonly spec?: {
    readonly template?: { readonly spec?: { readonly containers?: readonly { readonly image?: string }[] } }
  }
}

export function isReady({ status }: NodeObject | PodObject): boolean {
  return status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false
}

export function podAddresses({ status }: PodObject): string[] {
  return (status?.podIPs ?? []).map(({ ip }) => ip)
}

export function internalAddresses({ status }: NodeObject): string[] {
  return (status?.addresses ?? []).filter(({ type }) => type === 'InternalIP').map(({ address }) => address)
}

export function serviceAddresses({ spec }: ServiceObject): string[] {
  return [...(spec?.clusterIPs ?? [spec?.clusterIP ?? 'None'])].filter(
    (address) => address !== 'None' && address !== '',
  )
}

/** No waiting helps: kubelet goes on trying, but what it needs is not there. */
const HOPELESS = [
  'ErrImageNeverPull',
  'ImagePullBackOff',
  'InvalidImageName',
  'CreateContainerConfigError',
  'CrashLoopBackOff',
]

export function isHopeless({ status }: PodObject): boolean {
  const reasons = (status?.containerStatuses ?? []).map(({ state }) => state?.waiting?.reason ?? '')
  return status?.phase === 'Failed' || reasons.some((reason) => HOPELESS.includes(reason))
}

const LENGTH_MAX = 400

/** Why a pod does not run, in the words of kubelet and of the plugin. @param events of its namespace */
export function troubleOf(pod: PodObject | undefined, name: string, events: readonly EventObject[]): string {
  const { status } = pod ?? {}
  const [{ state } = { state: undefined }] = status?.containerStatuses ?? []
  const reasons = [state?.waiting, state?.terminated, status].flatMap((one) =>
    one?.reason && one.reason !== 'ContainerCreating' ? [[one.reason, one.message].filter(Boolean).join(': ')] : [],
  )
  const warnings = events
    .filter(({ type, involvedObject }) => type === 'Warning' && involvedObject?.name === name)
    .toSorted((a, b) => timeOf(a).localeCompare(timeOf(b)))
    .map(({ reason, message }) => `${reason}: ${message}`)
  const words = warnings.at(-1) ?? reasons[0] ?? `${status?.phase ?? 'nobody has seen it'}, and no event says why`
  return words.length > LENGTH_MAX ? `${words.slice(0, LENGTH_MAX)}…` : words
}

function timeOf({ lastTimestamp, eventTime }: EventObject): string {
  return lastTimestamp ?? eventTime ?? ''
}
