import { isDeepStrictEqual } from 'node:util'
import type { Cidr } from '../../../ipam/address.ts'
import { ObjectError } from '../object-fields.ts'
import type { ViewProblem } from '../problem.ts'
import { parseServiceCidrObject } from '../service-cidr-object.ts'
import type { ApiObject } from './answers.ts'
import { Backoff, type BackoffLimits } from './backoff.ts'
import type { ApiClient } from './client.ts'
import { isServed } from './discovery.ts'
import { ApiError } from './errors.ts'
import { explain } from './explain.ts'
import { Rounds } from './rounds.ts'
import type { Resource } from './watch.ts'

/** Since Kubernetes 1.33; what the API server was started with is one of them. */
export const SERVICE_CIDRS: Resource = {
  path: '/apis/networking.k8s.io/v1/servicecidrs',
  apiVersion: 'networking.k8s.io/v1',
  kind: 'ServiceCIDR',
  name: 'servicecidrs.networking.k8s.io',
}

/** They change once in years, which is not worth a watch of every node; and a refusal may be taken back. */
const LOOK_EVERY_MS = { quiet: 600_000, troubled: 60_000 }
const AWAY_BACKOFF: BackoffLimits = { firstMs: 500, mostMs: 10_000 }

/** The addresses of Services, where the API server has objects that say them. */
export class ServiceCidrs {
  readonly #client: ApiClient
  readonly #onChange: () => void
  readonly #backoff: Backoff
  readonly #lookEveryMs: Readonly<typeof LOOK_EVERY_MS>
  readonly #rounds = new Rounds((signal) => this.#round(signal))
  #cidrs: readonly Cidr[] = []
  #isAsked = false
  #trouble: ViewProblem | undefined

  /** @param backoff,lookEveryMs only tests have less patience */
  constructor(client: ApiClient, onChange: () => void, backoff = AWAY_BACKOFF, lookEveryMs = LOOK_EVERY_MS) {
    this.#client = client
    this.#onChange = onChange
    this.#backoff = new Backoff(backoff)
    this.#lookEveryMs = lookEveryMs
  }

  /** As they were heard last; the same list while they are the same. */
  get cidrs(): readonly Cidr[] {
    return this.#cidrs
  }

  /** Whatever came of it: nobody waits for a second time. */
  get isAsked(): boolean {
    return this.#isAsked
  }

  /** What is wrong with them, or with our right to read them; whether the server is there, others tell. */
  get problems(): readonly ViewProblem[] {
    return this.#trouble ? [this.#trouble] : []
  }

  /** @throws as ApiClient, but for what is `problems`' to tell */
  async ask(signal: AbortSignal): Promise<void> {
    try {
      const cidrs = await this.#list(signal)
      if (!isDeepStrictEqual(cidrs, this.#cidrs)) this.#cidrs = cidrs
      this.#trouble = undefined
    } catch (error) {
      const trouble = this.#troubleOf(error)
      if (!trouble) throw error
      this.#trouble = trouble
    } finally {
      this.#isAsked = true
    }
  }

  start(): void {
    this.#rounds.start()
  }

  close(): Promise<void> {
    return this.#rounds.close()
  }

  async #round(signal: AbortSignal): Promise<number> {
    const before = [this.#cidrs, this.#isAsked, this.#trouble?.reason]
    const waitMs = await this.#look(signal)
    const after = [this.#cidrs, this.#isAsked, this.#trouble?.reason]
    if (!signal.aborted && before.some((one, index) => one !== after[index])) this.#onChange()
    return waitMs
  }

  /** @returns the milliseconds until the next look */
  async #look(signal: AbortSignal): Promise<number> {
    try {
      await this.ask(signal)
      const { quiet, troubled } = this.#lookEveryMs
      // By chance around it, so that agents that started together do not ask together.
      return (this.#trouble ? troubled : quiet) * (0.75 + Math.random() / 2)
    } catch (error) {
      return Math.max(this.#backoff.nextMs(), error instanceof ApiError ? error.retryAfterMs : 0)
    }
  }

  /** None where the server has none of the kind. */
  async #list(signal: AbortSignal): Promise<Cidr[]> {
    if (!(await isServed(this.#client, SERVICE_CIDRS, signal))) return []
    const { path, apiVersion, kind } = SERVICE_CIDRS
    const cidrs: Cidr[] = []
    await this.#client.list(path, signal, (item) => {
      cidrs.push(...parsed({ ...item, apiVersion, kind }))
    })
    return cidrs
  }

  #troubleOf(error: unknown): ViewProblem | undefined {
    const { name, kind } = SERVICE_CIDRS
    if (error instanceof ObjectError) return { object: kind, reason: error.message }
    if (!(error instanceof ApiError && error.status === 403)) return undefined
    const reason = `${explain(error, { verb: 'list', resource: name })}; until then --service-cidr tells which addresses pods must not have`
    return { object: `the API server ${this.#client.server}`, reason }
  }
}

/** @throws ObjectError that names the object */
function parsed(object: ApiObject): readonly Cidr[] {
  try {
    return parseServiceCidrObject(object)
  } catch (error) {
    throw error instanceof ObjectError ? new ObjectError(`${object.metadata.name}: ${error.message}`) : error
  }
}
