import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiObject } from '../../agent/cluster/kubernetes/answers.ts'
import type { ApiClient } from '../../agent/cluster/kubernetes/client.ts'
import { ApiError } from '../../agent/cluster/kubernetes/errors.ts'
import type { EventObject, PodObject, ServiceObject } from './cluster-objects.ts'
import { NAMESPACE_PREFIX, namespaceObject, TEST_LABEL, TEST_SECONDS_MAX } from './objects.ts'

const POLL_EVERY_MS = 500
/** A controller makes the ServiceAccount that every pod needs, a moment after the namespace. */
const ACCOUNT_WITHIN_MS = 30_000
/** kubelet ends pods within a second; a busy one takes its time. */
const GONE_WITHIN_MS = 120_000

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

  /** @throws ApiError and the like */
  static async create(api: ApiClient, signal: AbortSignal): Promise<TestNamespace> {
    const name = `${NAMESPACE_PREFIX}${randomBytes(3).toString('hex')}`
    return new TestNamespace(api, await api.create('/api/v1/namespaces', namespaceObject(name), signal), signal)
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

/** Ends when it is gone with all that was in it. @throws Error that says how far it got */
export async function removeNamespace(api: ApiClient, name: string, signal: AbortSignal): Promise<void> {
  const path = `/api/v1/namespaces/${name}`
  const deadlineMs = performance.now() + GONE_WITHIN_MS
  try {
    await api.delete(path, signal)
    while (performance.now() < deadlineMs) {
      await api.get(path, signal)
      await sleep(POLL_EVERY_MS, undefined, { signal })
    }
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return
    throw error
  }
  throw new Error(`namespace ${name} is still being deleted after ${GONE_WITHIN_MS / 1000} s`)
}

function creationOf({ metadata }: ApiObject): string {
  return String((metadata as { creationTimestamp?: unknown }).creationTimestamp ?? '')
}
