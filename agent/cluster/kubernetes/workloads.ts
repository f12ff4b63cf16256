import { setImmediate as turn } from 'node:timers/promises'
import { LayeredMap } from '../layered-map.ts'
import { isDnsName } from '../object-fields.ts'
import { type Policy, policyId } from '../policy.ts'
import type { ParsedPolicy } from '../policy-object.ts'
import type { ViewProblem } from '../problem.ts'
import type { AgentPod } from '../view.ts'
import { AskError, type ClusterPod, type WorkloadChange, type WorkloadSource, type Workloads } from '../workloads.ts'
import { AheadOfWatch } from './ahead.ts'
import type { BackoffLimits } from './backoff.ts'
import type { ApiClient } from './client.ts'
import { ApiError } from './errors.ts'
import { explain } from './explain.ts'
import {
  CLUSTER_NETWORK_POLICIES,
  CLUSTER_NETWORK_POLICY_KIND,
  NAMESPACE_KIND,
  NAMESPACES,
  NETWORK_POLICIES,
  NETWORK_POLICY_KIND,
  PODS,
  podKind,
} from './kinds.ts'
import { both, Noted } from './noted.ts'
import { type LookEvery, OptionalReflector } from './optional-reflector.ts'
import { agentPodOf } from './readiness.ts'
import { ObjectStore } from './store.ts'
import { Reflector, type Resource } from './watch.ts'

/**
 * Pods, namespaces and policies from the API server, each kind listed once and watched from then on, beside the nodes
 * and not in their way: what we may not read of these costs nobody a route.
 */
export class KubernetesWorkloads implements WorkloadSource {
  readonly isComplete = false
  readonly #client: ApiClient
  readonly #pods = new ObjectStore(podKind(), (changed) => this.#note('pods', changed))
  readonly #namespaces = new ObjectStore(NAMESPACE_KIND, (changed) => this.#note('namespaces', changed))
  readonly #networkPolicies: ObjectStore<ParsedPolicy>
  readonly #clusterPolicies: ObjectStore<ParsedPolicy>
  readonly #askedPods = new AheadOfWatch(this.#pods)
  readonly #agentPods = new Noted(agentPodOf)
  readonly #askedNamespaces = new AheadOfWatch(this.#namespaces)
  readonly #reflectors: readonly (Reflector | OptionalReflector)[]
  readonly #closing = new AbortController()
  #onChange: ((change: WorkloadChange) => void) | undefined
  /** Of both APIs, by policyId. */
  #policies = LayeredMap.empty<string, Policy>()
  /** By policyId: what is not done of a policy. */
  readonly #fieldProblems = new Map<string, readonly ViewProblem[]>()
  /** By resource: why it is not heard of. */
  readonly #troubles = new Map<string, string>()
  #workloads: Workloads | undefined
  #changed = { pods: new Set<string>(), namespaces: new Set<string>(), policies: new Set<string>() }
  #timer: NodeJS.Immediate | undefined

  /** @param backoff,lookEvery only tests have less patience */
  constructor(client: ApiClient, backoff?: BackoffLimits, lookEvery?: LookEvery) {
    this.#client = client
    this.#networkPolicies = new ObjectStore(NETWORK_POLICY_KIND, (changed) =>
      this.#notePolicies('NetworkPolicy', this.#networkPolicies, changed),
    )
    this.#clusterPolicies = new ObjectStore(CLUSTER_NETWORK_POLICY_KIND, (changed) =>
      this.#notePolicies('ClusterNetworkPolicy', this.#clusterPolicies, changed),
    )
    const trouble =
      ({ name }: Resource) =>
      (reason: string | undefined) =>
        this.#troubled(name, reason)
    this.#reflectors = [
      new Reflector(client, PODS, both(this.#askedPods, this.#agentPods), trouble(PODS), backoff),
      new Reflector(client, NAMESPACES, this.#askedNamespaces, trouble(NAMESPACES), backoff),
      new Reflector(client, NETWORK_POLICIES, this.#networkPolicies, trouble(NETWORK_POLICIES), backoff),
      new OptionalReflector(
        client,
        CLUSTER_NETWORK_POLICIES,
        this.#clusterPolicies,
        trouble(CLUSTER_NETWORK_POLICIES),
        backoff,
        lookEvery,
      ),
    ]
  }

  start(onChange: (change: WorkloadChange) => void): void {
    this.#onChange = onChange
    for (const reflector of this.#reflectors) reflector.start()
  }

  /** The pod's namespace comes along, where the watch has not told of it yet. */
  async ask(namespace: string, name: string, signal: AbortSignal): Promise<ClusterPod | undefined> {
    if (!isDnsName(namespace) || !isDnsName(name)) return undefined // there can be none, and it goes into a path
    const either = AbortSignal.any([signal, this.#closing.signal])
    const [isThere] = await Promise.all([
      this.#askFor(PODS, `${NAMESPACES.path}/${namespace}/pods/${name}`, this.#askedPods, either),
      this.#namespaces.get(namespace) ??
        this.#askFor(NAMESPACES, `${NAMESPACES.path}/${namespace}`, this.#askedNamespaces, either),
    ])
    // The store tells in a turn, and we in the next: who listens has it before who asks.
    await turn()
    await turn()
    const key = `${namespace}/${name}`
    const problem = this.#pods.problems().get(key)
    const pod = isThere ? this.#pods.get(key) : undefined
    if (isThere && !pod && problem !== undefined) throw new AskError(`Pod ${key}: ${problem}`)
    return pod
  }

  /** Those that an agent runs in, on all nodes; undefined until they are listed. */
  agentPods(): readonly AgentPod[] | undefined {
    const pods = this.#agentPods.all()
    return pods && [...pods.values()]
  }

  async close(): Promise<void> {
    this.#onChange = undefined
    this.#closing.abort()
    await Promise.all(this.#reflectors.map((reflector) => reflector.close()))
    clearImmediate(this.#timer)
    for (const store of this.#stores) store.close()
  }

  get #stores() {
    return [this.#pods, this.#namespaces, this.#networkPolicies, this.#clusterPolicies] as const
  }

  /** @returns whether there is such an object. @throws AskError */
  async #askFor(resource: Resource, path: string, asked: AheadOfWatch<unknown>, signal: AbortSignal): Promise<boolean> {
    const { apiVersion, kind, name } = resource
    try {
      asked.answered({ ...(await this.#client.get(path, signal)), apiVersion, kind })
      return true
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof ApiError && error.status === 404 && error.reason === 'NotFound') return false
      throw new AskError(`${this.#server} ${explain(error, { verb: 'get', resource: name })}`, { cause: error })
    }
  }

  #notePolicies(kind: Policy['kind'], store: ObjectStore<ParsedPolicy>, keys: ReadonlySet<string>): void {
    const told = Array.from(keys, (key) => [idOf(kind, key), store.get(key)] as const)
    this.#policies = this.#policies.with(told.map(([id, parsed]) => [id, parsed?.policy] as const))
    for (const [id, parsed] of told)
      if (parsed && parsed.problems.length > 0)
        this.#fieldProblems.set(
          id,
          parsed.problems.map(({ field, reason }) => ({ object: id, reason: `${field}: ${reason}` })),
        )
      else this.#fieldProblems.delete(id)
    this.#note('policies', new Set(told.map(([id]) => id)))
  }

  #note(kind: 'pods' | 'namespaces' | 'policies', keys: ReadonlySet<string>): void {
    for (const key of keys) this.#changed[kind].add(key)
    this.#schedule()
  }

  #troubled(resource: string, reason: string | undefined): void {
    if (reason === undefined) this.#troubles.delete(resource)
    else this.#troubles.set(resource, reason)
    this.#schedule()
  }

  /** What several stores tell in one turn is told as one. */
  #schedule(): void {
    this.#timer ??= setImmediate(() => {
      this.#timer = undefined
      this.#tell()
    })
  }

  #tell(): void {
    const isFirst = this.#workloads === undefined
    const changed = this.#changed
    this.#changed = { pods: new Set(), namespaces: new Set(), policies: new Set() }
    const isNew = changed.pods.size + changed.namespaces.size + changed.policies.size > 0
    if (this.#stores.every(({ isWhole }) => isWhole) && (isNew || isFirst))
      this.#workloads = {
        pods: this.#pods.values(),
        namespaces: this.#namespaces.values(),
        policies: this.#policies,
      }
    this.#onChange?.({ workloads: this.#workloads, ...(!isFirst && { changed }), problems: this.#problems() })
  }

  #problems(): ViewProblem[] {
    const kept = this.#workloads ? '; what is known of pods and policies stays in force' : ''
    const troubles = Array.from(new Set(this.#troubles.values()), (reason) => ({
      object: this.#server,
      reason: `${reason}${kept}`,
    }))
    // Until all is listed, only what keeps it from being so: who has an older word of it goes back to that then.
    if (!this.#workloads) return troubles
    return [
      ...troubles,
      ...problemsOf('Pod', this.#pods),
      ...problemsOf('Namespace', this.#namespaces),
      ...problemsOf('NetworkPolicy', this.#networkPolicies),
      ...problemsOf('ClusterNetworkPolicy', this.#clusterPolicies),
      ...[...this.#fieldProblems.values()].flat(),
    ]
  }

  get #server(): string {
    return `the API server ${this.#client.server}`
  }
}

function problemsOf(kind: string, store: ObjectStore<unknown>): ViewProblem[] {
  return Array.from(store.problems(), ([key, reason]) => ({
    object: `${kind} ${key}`,
    reason: store.get(key) === undefined ? reason : `${reason}; what it said before stays in force`,
  }))
}

/** @param key as the store has it: `default/web` */
function idOf(kind: Policy['kind'], key: string): string {
  const slash = key.indexOf('/')
  return slash < 0
    ? policyId({ kind, name: key })
    : policyId({ kind, namespace: key.slice(0, slash), name: key.slice(slash + 1) })
}
