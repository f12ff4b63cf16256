import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiObject } from '../../agent/cluster/kubernetes/answers.ts'
import type { ApiClient } from '../../agent/cluster/kubernetes/client.ts'
import { ApiError, ApiProtocolError } from '../../agent/cluster/kubernetes/errors.ts'
import type { EventObject, PodObject, ServiceObject } from './cluster-objects.ts'
import { NAMESPACE_PREFIX, namespaceObject, TEST_LABEL, TEST_SECONDS_MAX } from './objects.ts'

const POLL_EVERY_MS = 500
/** The client itself gives up before. */
const CREATE_WITHIN_MS = 60_000
/** A controller makes the ServiceAccount that every pod needs, a moment after the namespace. */
const ACCOUNT_WITHIN_MS = 30_000
/** kubelet ends pods within a second; a busy one takes its time. */
const GONE_WITHIN_MS = 120_000

/** Chosen before the namespace is asked for, so that it can be taken away whatever becomes of the answer. */
export function newNamespaceName(): string {
  return `${NAMESPACE_PREFIX}${randomBytes(3).toString('hex')}`
}

/** Refused for good, and not done. Whether a request was carried out whose answer was lost nobody knows. Pure. */
export function isRefusal(error: unknown): boolean {
  return error instanceof ApiError && error.status < 500 && error.status !== 429
}

/** The namespace of one test, with all that is in it. */
export class TestNamespace {
  readonly name: string
  readonly createdAt: string
  readonly #api: ApiClient
  readonly #signal: AbortSignal

  private constructor(api: ApiClient, object: ApiObject, signal: AbortSignal) {
    this.#api = api
    this.name = object.metadata.name
    this.createdAt = creationOf(object)
    this.#signal = signal
  }

  /**
   * An interrupt waits for the answer: a request that is cut off may still be carried out, after the clean-up.
   * @throws ApiError and the like; AbortError once it is made
   */
  static async create(api: ApiClient, name: string, signal: AbortSignal): Promise<TestNamespace> {
    const answered = AbortSignal.timeout(CREATE_WITHIN_MS)
    const object = await api.create('/api/v1/namespaces', namespaceObject(name), answered)
    signal.throwIfAborted()
    return new TestNamespace(api, object, signal)
  }

  async createPod(pod: object): Promise<void> {
    const deadlineMs = performance.now() + ACCOUNT_WITHIN_MS
    for (;;)
      try {
        await this.#api.create(`${this.#path}/pods`, pod, this.#signal)
        return
      } catch (error) {
        const isEarly = error instanceof ApiError && error.status === 403 && /service ?account/i.test(error.words)
        if (!isEarly || performance.now() > deadlineMs) throw error
        await sleep(POLL_EVERY_MS, undefined, { signal: this.#signal })
      }
  }

  async createService(service: object): Promise<ServiceObject> {
    return this.#api.create(`${this.#path}/services`, service, this.#signal)
  }

  async createPolicy(policy: object): Promise<void> {
    const path = `/apis/networking.k8s.io/v1/namespaces/${this.name}/networkpolicies`
    await this.#api.create(path, policy, this.#signal)
  }

  /** By name. */
  async pods(): Promise<Map<string, PodObject>> {
    const pods = new Map<string, PodObject>()
    await this.#api.list(`${this.#path}/pods`, this.#signal, (pod) => pods.set(pod.metadata.name, pod))
    return pods
  }

  async events(): Promise<EventObject[]> {
    const events: EventObject[] = []
    await this.#api.list(`${this.#path}/events`, this.#signal, (event) => events.push(event))
    return events
  }

  /** Of a pod's container; empty while there is none. */
  async log(pod: string): Promise<string> {
    try {
      return await this.#api.text(`${this.#path}/pods/${pod}/log`, {}, this.#signal)
    } catch (error) {
      // 400: the container waits to start. 404: so does the pod, or the kubelet knows nothing of it yet.
      if (error instanceof ApiError && [400, 404].includes(error.status)) return ''
      throw error
    }
  }

  get #path(): string {
    return `/api/v1/namespaces/${this.name}`
  }
}

/** Tests that were killed, or that run now elsewhere; oldest first. */
export async function otherTests(api: ApiClient, own: string, signal: AbortSignal): Promise<ApiObject[]> {
  const found: ApiObject[] = []
  await api.list('/api/v1/namespaces', signal, (namespace) => {
    const { name, labels } = namespace.metadata
    if (name !== own && name.startsWith(NAMESPACE_PREFIX) && labels?.[TEST_LABEL] === 'true') found.push(namespace)
  })
  return found.toSorted((a, b) => creationOf(a).localeCompare(creationOf(b)))
}

/** By the server's clock alone; no test takes that long. Pure. */
export function isForgotten(namespace: ApiObject, now: string): boolean {
  return Date.parse(now) - Date.parse(creationOf(namespace)) > TEST_SECONDS_MAX * 1000
}

/**
 * Ends when it is gone with all that was in it. An API server that is away, or stumbles, is asked again.
 * @param withinMs all in all
 * @throws Error that says how far it got
 */
export async function removeNamespace(api: ApiClient, name: string, withinMs: number): Promise<void> {
  const path = `/api/v1/namespaces/${name}`
  const signal = AbortSignal.timeout(withinMs)
  let [endMs, isAsked] = [performance.now() + withinMs, false]
  let trouble = new Error(`nobody answered within ${withinMs / 1000} s`)
  while (performance.now() < endMs)
    try {
      if (!isAsked) {
        await deleteOnce(api, path, signal)
        isAsked = true
        endMs = Math.min(endMs, performance.now() + GONE_WITHIN_MS)
        trouble = new Error(`it is still being deleted after ${GONE_WITHIN_MS / 1000} s`)
      }
      await api.get(path, signal)
      await sleep(POLL_EVERY_MS)
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return
      if (signal.aborted) break
      if (isRefusal(error) || error instanceof ApiProtocolError) throw error
      if (!isAsked) trouble = error as Error
      await sleep(POLL_EVERY_MS)
    }
  throw trouble
}

/** 409: a DELETE whose answer was lost has been heard, and it is on its way out. */
async function deleteOnce(api: ApiClient, path: string, signal: AbortSignal): Promise<void> {
  try {
    await api.delete(path, signal)
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 409)) throw error
  }
}

function creationOf({ metadata }: ApiObject): string {
  return String((metadata as { creationTimestamp?: unknown }).creationTimestamp ?? '')
}
