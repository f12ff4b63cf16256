import { setTimeout as delay } from 'node:timers/promises'
import type { ApiObject } from './answers.ts'
import { Backoff, type BackoffLimits } from './backoff.ts'
import type { ApiClient } from './client.ts'
import { ApiError, UnreachableError } from './errors.ts'
import { explain } from './explain.ts'
import { isOlder } from './resource-version.ts'

const TYPE = 'NetworkUnavailable'
/** k8s.io/api/core/v1, NodeCondition; what other networks write there begins alike: FlannelIsUp, CalicoIsUp. */
const UP = {
  type: TYPE,
  status: 'False',
  reason: 'BrambleIsUp',
  message: 'Bramble is running on this node',
} as const

interface NodeObject extends ApiObject {
  readonly status?: {
    readonly conditions?: readonly { readonly type?: unknown; readonly status?: unknown; readonly reason?: unknown }[]
  }
}

/**
 * Takes away from the own Node what keeps pods off it: clouds, and networks that were there before us, leave a condition
 * NetworkUnavailable that is True, and with it a taint. Who disagrees is contradicted less and less often.
 */
export class NetworkCondition {
  readonly #client: ApiClient
  readonly #path: string
  readonly #onTrouble: (reason: string | undefined) => void
  readonly #backoff: Backoff
  readonly #closing = new AbortController()
  #running: Promise<void> = Promise.resolve()
  #isRunning = false
  #isWanted = false
  /** As far as we have heard; undefined: the Node is not there, or we have not heard. */
  #actual: { readonly isUp: boolean; readonly version: string } | undefined
  #trouble: string | undefined

  /** @param path of the own Node */
  constructor(
    client: ApiClient,
    path: string,
    onTrouble: (reason: string | undefined) => void,
    backoff?: BackoffLimits,
  ) {
    this.#client = client
    this.#path = path
    this.#onTrouble = onTrouble
    this.#backoff = new Backoff(backoff)
  }

  /** From now on pods on this node have a network. */
  want(): void {
    this.#isWanted = true
    this.#look()
  }

  /** The own Node, from wherever. */
  seen(node: ApiObject): void {
    const { resourceVersion: version = '' } = node.metadata
    if (this.#actual && isOlder(version, this.#actual.version)) return
    this.#actual = { isUp: isUp(node), version }
    this.#look()
  }

  /** What is there is not known any more; see Announcer. */
  forget(): void {
    this.#actual = undefined
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#running
  }

  get #differs(): boolean {
    return this.#isWanted && this.#actual?.isUp === false && !this.#closing.signal.aborted
  }

  #look(): void {
    if (!this.#differs) this.#tell(undefined)
    else if (!this.#isRunning) this.#running = this.#patchUntilRight()
  }

  async #patchUntilRight(): Promise<void> {
    const { signal } = this.#closing
    this.#isRunning = true
    let waitMs = 0
    while (this.#differs) {
      await delay(Math.max(waitMs, this.#backoff.nextMs()), undefined, { signal }).catch(() => {})
      if (this.#differs) waitMs = await this.#patch()
    }
    this.#isRunning = false
  }

  /** @returns the milliseconds that the server wants us to wait */
  async #patch(): Promise<number> {
    const lastTransitionTime = new Date().toISOString().replace(/\.\d+Z$/, 'Z') // metav1.Time has no fractions
    const patch = { status: { conditions: [{ ...UP, lastTransitionTime, lastHeartbeatTime: lastTransitionTime }] } }
    try {
      this.seen(await this.#client.strategicMergePatch(`${this.#path}/status`, patch, this.#closing.signal))
      return 0
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) this.forget()
      else if (!(error instanceof UnreachableError) && !this.#closing.signal.aborted)
        this.#tell(
          `condition ${TYPE} cannot be taken away: ${explain(error, { verb: 'patch', resource: 'nodes/status' })}`,
        )
      return error instanceof ApiError ? error.retryAfterMs : 0
    }
  }

  #tell(trouble: string | undefined): void {
    if (trouble === this.#trouble) return
    this.#trouble = trouble
    this.#onTrouble(trouble)
  }
}

/** Our own condition; that of a network before us would stay for good, and say that it is up. */
function isUp(node: NodeObject): boolean {
  const condition = node.status?.conditions?.find(({ type }) => type === TYPE)
  return condition?.status === UP.status && condition.reason === UP.reason
}

/** A patch of the Node's status by which our condition goes, and nobody else's. */
export function withoutCondition(node: NodeObject): object | undefined {
  return isUp(node) ? { status: { conditions: [{ $patch: 'delete', type: TYPE }] } } : undefined
}
