import type { EventSink, NodeEvent } from '../view.ts'
import type { ApiObject } from './answers.ts'
import type { ApiClient } from './client.ts'
import { ApiError } from './errors.ts'
import { explain } from './explain.ts'

/** Where Events are about what has no namespace (k8s.io/kubernetes, pkg/apis/core/validation/events.go). */
const EVENTS = '/api/v1/namespaces/default/events'

/**
 * Events on the own Node, one for each reason: said again it has a higher count. To make and to patch is all that we may do with
 * Events, so what an earlier agent has counted is learned from the answer to a patch.
 */
export class NodeEvents implements EventSink {
  readonly #client: ApiClient
  readonly #nodeName: string
  readonly #signal: AbortSignal
  /** What each has counted, by the Event's name, as far as this agent has told it. */
  readonly #counts = new Map<string, number>()

  constructor(client: ApiClient, nodeName: string, signal: AbortSignal) {
    this.#client = client
    this.#nodeName = nodeName
    this.#signal = signal
  }

  /** @throws Error that says which right is missing, or what else is wrong */
  async tell(event: NodeEvent): Promise<void> {
    const name = `${this.#nodeName}.bramble-${event.reason.toLowerCase()}`
    const told = this.#counts.get(name)
    const object =
      (told !== undefined && (await this.#again(name, event, told))) || // the server forgets Events after an hour
      (await this.#first(name, event)) ||
      (await this.#again(name, event, undefined))
    if (object) this.#counts.set(name, countOf(object))
  }

  /** @returns undefined where there is one already */
  async #first(name: string, { reason, message, times }: NodeEvent): Promise<ApiObject | undefined> {
    const now = timestamp()
    const node = this.#nodeName
    return attempt('create', 409, () =>
      this.#client.create(
        EVENTS,
        {
          apiVersion: 'v1',
          kind: 'Event',
          metadata: { name, namespace: 'default' },
          // The Node's name for its uid, as kubelet has it: by that kubectl describe finds them.
          involvedObject: { apiVersion: 'v1', kind: 'Node', name: node, uid: node },
          type: 'Warning',
          reason,
          message,
          count: times,
          firstTimestamp: now,
          lastTimestamp: now,
          source: { component: 'bramble-agent', host: node },
          reportingComponent: 'bramble-agent',
          reportingInstance: node,
        },
        this.#signal,
      ),
    )
  }

  /** @param told undefined: that is to be learned first @returns undefined where there is none any more */
  async #again(name: string, { message, times }: NodeEvent, told: number | undefined): Promise<ApiObject | undefined> {
    const patch = (fields: object) =>
      attempt('patch', 404, () => this.#client.mergePatch(`${EVENTS}/${name}`, { message, ...fields }, this.#signal))
    const now = { lastTimestamp: timestamp() }
    if (told !== undefined) return patch({ ...now, count: told + times })
    const there = await patch(now)
    return there && patch({ ...now, count: countOf(there) + times })
  }
}

function countOf(object: ApiObject): number {
  const { count } = object as { count?: unknown }
  return typeof count === 'number' ? count : 0
}

/** metav1.Time has seconds. */
function timestamp(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z')
}

/** @param otherwise the status that says: not this way @returns undefined then */
async function attempt<T>(verb: 'create' | 'patch', otherwise: number, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof ApiError && error.status === otherwise) return undefined
    throw new Error(explain(error, { verb, resource: 'events' }), { cause: error })
  }
}
