import type { ApiObject } from './answers.ts'
import type { BackoffLimits } from './backoff.ts'
import type { ApiClient } from './client.ts'
import { conditionOf } from './condition.ts'
import { explain } from './explain.ts'
import { PatchLoop } from './patch-loop.ts'
import { isOlder } from './resource-version.ts'

const TYPE = 'NetworkUnavailable'
/** k8s.io/api/core/v1, NodeCondition; what other networks write there begins alike: FlannelIsUp, CalicoIsUp. */
const UP = {
  type: TYPE,
  status: 'False',
  reason: 'BrambleIsUp',
  message: 'Bramble is running on this node',
} as const

/**
 * Takes away from the own Node what keeps pods off it: clouds, and networks that were there before us, leave a condition
 * NetworkUnavailable that is True, and with it a taint. Who disagrees is contradicted less and less often.
 */
export class NetworkCondition {
  readonly #client: ApiClient
  readonly #path: string
  readonly #loop: PatchLoop
  #isWanted = false
  /** As far as we have heard; undefined: the Node is not there, or we have not heard. */
  #actual: { readonly isUp: boolean; readonly version: string } | undefined

  /** @param path of the own Node */
  constructor(
    client: ApiClient,
    path: string,
    onTrouble: (reason: string | undefined) => void,
    backoff?: BackoffLimits,
  ) {
    this.#client = client
    this.#path = path
    const differs = () => this.#isWanted && this.#actual?.isUp === false
    const patch = (signal: AbortSignal) => this.#patch(signal)
    this.#loop = new PatchLoop({ differs, patch, gone: () => this.forget(), inWords, onTrouble }, backoff)
  }

  /** From now on pods on this node have a network. */
  want(): void {
    this.#isWanted = true
    this.#loop.look()
  }

  /** The own Node, from wherever. */
  seen(node: ApiObject): void {
    const { resourceVersion: version = '' } = node.metadata
    if (this.#actual && isOlder(version, this.#actual.version)) return
    this.#actual = { isUp: isUp(node), version }
    this.#loop.look()
  }

  /** What is there is not known any more; see Announcer. */
  forget(): void {
    this.#actual = undefined
  }

  close(): Promise<void> {
    return this.#loop.close()
  }

  async #patch(signal: AbortSignal): Promise<void> {
    const lastTransitionTime = new Date().toISOString().replace(/\.\d+Z$/, 'Z') // metav1.Time has no fractions
    const patch = { status: { conditions: [{ ...UP, lastTransitionTime, lastHeartbeatTime: lastTransitionTime }] } }
    this.seen(await this.#client.strategicMergePatch(`${this.#path}/status`, patch, signal))
  }
}

function inWords(error: unknown): string {
  return `condition ${TYPE} cannot be taken away: ${explain(error, { verb: 'patch', resource: 'nodes/status' })}`
}

/** Our own condition; that of a network before us would stay for good, and say that it is up. */
function isUp(node: ApiObject): boolean {
  const condition = conditionOf(node, TYPE)
  return condition?.status === UP.status && condition.reason === UP.reason
}

/** A patch of the Node's status by which our condition goes, and nobody else's. */
export function withoutCondition(node: ApiObject): object | undefined {
  return isUp(node) ? { status: { conditions: [{ $patch: 'delete', type: TYPE }] } } : undefined
}
