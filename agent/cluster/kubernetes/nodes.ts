import { setTimeout as delay } from 'node:timers/promises'
import type { Cidr } from '../../../ipam/address.ts'
import { ANNOTATION, formatAnnouncement, NodeObjectError, parseNodeObject, STATUS_ANNOTATION } from '../node-object.ts'
import type { ViewProblem } from '../problem.ts'
import type { Announcement, ClusterNode, ClusterSource, StatusBoard, ViewChange } from '../view.ts'
import { Announcer } from './announcer.ts'
import type { ApiObject } from './answers.ts'
import { Backoff, type BackoffLimits } from './backoff.ts'
import type { ApiClient } from './client.ts'
import { ApiError } from './errors.ts'
import { type Attempt, explain } from './explain.ts'
import { NetworkCondition } from './network-condition.ts'
import { NodeEvents } from './node-events.ts'
import { Noted } from './noted.ts'
import { PublishedStatuses } from './published-statuses.ts'
import { unreadyOf } from './readiness.ts'
import { SERVICE_CIDRS, ServiceCidrs } from './service-cidrs.ts'
import { type Kind, ObjectStore } from './store.ts'
import { Reflector, type Resource, type Sink } from './watch.ts'
import { KubernetesWorkloads } from './workloads.ts'

const NODES: Resource = { path: '/api/v1/nodes', apiVersion: 'v1', kind: 'Node', name: 'nodes' }
/** A node that joins is waited for by its pods; the controller manager takes a second or so. */
const JOIN_BACKOFF: BackoffLimits = { firstMs: 500, mostMs: 10_000 }

const NODE_KIND: Kind<ClusterNode> = {
  // Heartbeats change status.conditions alone.
  essence: (object) => {
    const { metadata, spec, status } = object as NodeObject
    const { annotations, labels, creationTimestamp } = metadata
    return JSON.stringify([
      creationTimestamp,
      annotations?.[ANNOTATION],
      labels,
      spec?.podCIDRs,
      spec?.podCIDR,
      status?.addresses,
    ])
  },
  parse: parseNodeObject,
}

interface NodeObject extends ApiObject {
  readonly spec?: { readonly podCIDRs?: unknown; readonly podCIDR?: unknown }
  readonly status?: { readonly addresses?: unknown }
}

/** The cluster from the API server of Kubernetes: its Nodes, listed once and watched from then on. */
export class KubernetesSource implements ClusterSource {
  readonly workloads: KubernetesWorkloads
  readonly board: StatusBoard
  readonly #client: ApiClient
  readonly #nodeName: string
  readonly #nodes: ObjectStore<ClusterNode>
  readonly #serviceCidrs: ServiceCidrs
  readonly #reflector: Reflector
  readonly #announcer: Announcer
  readonly #statuses = new PublishedStatuses()
  readonly #unready = new Noted(unreadyOf)
  readonly #condition: NetworkCondition
  readonly #backoff: BackoffLimits | undefined
  readonly #closing = new AbortController()
  #onChange: ((change: ViewChange) => void) | undefined
  #view: ReadonlyMap<string, ClusterNode> | undefined
  /** Since it was told last. */
  #changed = new Set<string>()
  #away: string | undefined
  #unsaid: string | undefined
  #untaken: string | undefined

  /** @param backoff only tests have less patience */
  constructor(client: ApiClient, nodeName: string, backoff?: BackoffLimits) {
    this.#client = client
    this.#nodeName = nodeName
    this.#backoff = backoff
    this.workloads = new KubernetesWorkloads(client, backoff)
    this.#nodes = new ObjectStore(NODE_KIND, (changed) => this.#tell(changed))
    this.#serviceCidrs = new ServiceCidrs(client, () => this.#tell(new Set()), backoff)
    this.#announcer = new Announcer(
      client,
      this.#ownPath,
      (trouble) => {
        this.#unsaid = trouble
        this.#tell(new Set())
      },
      backoff,
    )
    this.#condition = new NetworkCondition(
      client,
      this.#ownPath,
      (trouble) => {
        this.#untaken = trouble
        this.#tell(new Set())
      },
      backoff,
    )
    const events = new NodeEvents(client, nodeName, this.#closing.signal)
    this.board = {
      tell: (event) => events.tell(event),
      publish: (text) => this.#announcer.want(text, STATUS_ANNOTATION),
      published: () => this.#statuses.all(),
      unready: () => this.#unready.all() ?? new Map(),
      agentPods: () => this.workloads.agentPods(),
    }
    this.#reflector = new Reflector(
      client,
      NODES,
      this.#sink(),
      (trouble) => {
        this.#away = trouble
        this.#tell(new Set())
      },
      backoff,
    )
  }

  /** @throws AbortError when it is closed meanwhile */
  async join(onProblems: (problems: readonly ViewProblem[]) => void): Promise<readonly Cidr[]> {
    const { signal } = this.#closing
    const backoff = new Backoff(this.#backoff ?? JOIN_BACKOFF)
    let said = ''
    for (;;) {
      const { podCidrs, problem, waitMs } = await this.#ownPodCidrs()
      signal.throwIfAborted()
      const saying = JSON.stringify(problem ?? '')
      if (saying !== said) onProblems(problem ? [problem] : [])
      said = saying
      if (podCidrs) return podCidrs
      await delay(Math.max(waitMs, backoff.nextMs()), undefined, { signal })
    }
  }

  announce(announcement: Announcement): void {
    this.#announcer.want(formatAnnouncement(announcement))
  }

  tellNetworkIsUp(): void {
    this.#condition.want()
  }

  start(onChange: (change: ViewChange) => void): void {
    this.#onChange = onChange
    this.#reflector.start()
    this.#serviceCidrs.start()
  }

  async close(): Promise<void> {
    this.#onChange = undefined
    this.#closing.abort()
    await Promise.all([
      this.#reflector.close(),
      this.#serviceCidrs.close(),
      this.#announcer.close(),
      this.#condition.close(),
      this.workloads.close(),
    ])
    this.#nodes.close()
    this.#client.close()
  }

  get #ownPath(): string {
    return `${NODES.path}/${this.#nodeName}`
  }

  async #ownPodCidrs(): Promise<{ podCidrs?: readonly Cidr[]; problem?: ViewProblem; waitMs: number }> {
    const object = `Node ${this.#nodeName}`
    let attempt: Attempt = { verb: 'get', resource: NODES.name }
    try {
      const { podCidrs } = parseNodeObject(await this.#client.get(this.#ownPath, this.#closing.signal))
      attempt = { verb: 'list', resource: SERVICE_CIDRS.name }
      if (podCidrs.length > 0) await this.#serviceCidrs.ask(this.#closing.signal)
      if (podCidrs.length > 0) return { podCidrs, waitMs: 0 }
      const reason =
        'has no spec.podCIDRs yet; if that stays so, kube-controller-manager gives none: --allocate-node-cidrs=true, --cluster-cidr=CIDR'
      return { problem: { object, reason }, waitMs: 0 }
    } catch (error) {
      if (error instanceof ApiError && error.status === 404 && error.reason === 'NotFound') {
        const reason = `the cluster has no node ${this.#nodeName}; is --node-name the name in kubectl get nodes?`
        return { problem: { object, reason }, waitMs: 0 }
      }
      if (error instanceof NodeObjectError) return { problem: { object, reason: error.message }, waitMs: 0 }
      const reason = explain(error, attempt)
      const waitMs = error instanceof ApiError ? error.retryAfterMs : 0
      return { problem: { object: this.#server, reason }, waitMs }
    }
  }

  /** The store, with an eye on the own Node. */
  #sink(): Sink {
    return {
      begin: () => {
        this.#announcer.forget()
        this.#condition.forget()
        this.#statuses.begin()
        this.#unready.begin()
        this.#nodes.begin()
      },
      put: (object) => {
        if (object.metadata.name === this.#nodeName) {
          this.#announcer.seen(object)
          this.#condition.seen(object)
        }
        this.#statuses.put(object)
        this.#unready.put(object)
        this.#nodes.put(object)
      },
      remove: (object) => {
        this.#statuses.remove(object)
        this.#unready.remove(object)
        this.#nodes.remove(object)
      },
      end: () => {
        this.#statuses.end()
        this.#unready.end()
        this.#nodes.end()
      },
    }
  }

  #tell(changed: ReadonlySet<string>): void {
    for (const name of changed) this.#changed.add(name)
    const isWhole = this.#nodes.isWhole && (this.#view !== undefined || this.#serviceCidrs.isAsked)
    if (this.#nodes.isWhole && !isWhole) return // it is asked just now
    const told = this.#changed
    this.#changed = new Set()
    if (isWhole && (told.size > 0 || !this.#view)) this.#view = this.#nodes.values()
    const { serviceCidrs } = this
    const view = this.#view && { nodes: this.#view, ...(serviceCidrs.length > 0 && { serviceCidrs }) }
    this.#onChange?.({ view, changed: told, problems: this.#problems() })
  }

  #problems(): ViewProblem[] {
    const kept = this.#view ? '; the last view stays in force' : ''
    return [
      ...(this.#away ? [{ object: this.#server, reason: `${this.#away}${kept}` }] : []),
      ...this.#serviceCidrs.problems,
      ...[this.#unsaid, this.#untaken].flatMap((reason) =>
        reason === undefined ? [] : [{ object: `Node ${this.#nodeName}`, reason }],
      ),
      ...Array.from(this.#nodes.problems(), ([name, reason]) => ({
        object: `Node ${name}`,
        reason: this.#view?.has(name) ? `${reason}; what it said before stays in force` : reason,
      })),
    ]
  }

  get serviceCidrs(): readonly Cidr[] {
    return this.#serviceCidrs.cidrs
  }

  get server() {
    return { name: this.#server, host: this.#client.host }
  }

  get clockMs() {
    return this.#client.clockMs
  }

  get #server(): string {
    return `the API server ${this.#client.server}`
  }
}
