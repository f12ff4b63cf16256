import type { AgentPod, NodeUnready } from '../view.ts'
import type { ApiObject } from './answers.ts'
import { type Condition, conditionOf } from './condition.ts'

/** deploy/bramble.yaml; the DaemonSet that uninstalls has the same label, and no such container. */
const LABEL = 'app.kubernetes.io/name'
const CONTAINER = 'agent'
/** Kubelet's own are short; whoever may write a Node may write anything. */
const CHARACTERS_MAX = 160

interface StatusObject extends ApiObject {
  readonly metadata: ApiObject['metadata'] & { readonly deletionTimestamp?: unknown }
  readonly spec?: {
    readonly nodeName?: unknown
    readonly hostNetwork?: unknown
    readonly containers?: unknown
  }
  readonly status?: {
    readonly containerStatuses?: readonly { readonly state?: { readonly waiting?: { readonly reason?: unknown } } }[]
    readonly reason?: unknown
  }
}

/**
 * What a Node says of a kubelet that is not well; undefined: nothing. The node controller writes Unknown where it has heard
 * nothing for --node-monitor-grace-period (40 or 50 s). Pure.
 */
export function unreadyOf(object: ApiObject): NodeUnready | undefined {
  const ready = conditionOf(object, 'Ready')
  if (!ready || ready.status === 'True') return undefined
  const message = typeof ready.message === 'string' ? ready.message.slice(0, CHARACTERS_MAX).toWellFormed() : ''
  return { isHeard: ready.status !== 'Unknown', message, ...since(ready) }
}

/** A Pod, if it is one of our DaemonSet. Kubelet writes within seconds that it is not Ready, and the node controller that of a node that is away. Pure. */
export function agentPodOf(object: ApiObject): AgentPod | undefined {
  const { metadata, spec, status } = object as StatusObject
  const { namespace, name, labels, deletionTimestamp } = metadata
  if (labels?.[LABEL] !== 'bramble' || spec?.hostNetwork !== true || namespace === undefined) return undefined
  if (typeof spec.nodeName !== 'string' || !hasContainer(spec.containers)) return undefined
  const ready = conditionOf(object, 'Ready')
  const reason = status?.containerStatuses?.[0]?.state?.waiting?.reason ?? status?.reason
  return {
    namespace,
    name,
    nodeName: spec.nodeName,
    isReady: ready?.status === 'True',
    isLeaving: deletionTimestamp !== undefined,
    ...(typeof reason === 'string' && { reason: reason.slice(0, CHARACTERS_MAX).toWellFormed() }),
    ...(ready && since(ready)),
  }
}

function hasContainer(containers: unknown): boolean {
  return Array.isArray(containers) && containers.some((one: { name?: unknown } | null) => one?.name === CONTAINER)
}

function since({ lastTransitionTime }: Condition): { sinceMs?: number } {
  const sinceMs = Date.parse(String(lastTransitionTime))
  return Number.isNaN(sinceMs) ? {} : { sinceMs }
}
