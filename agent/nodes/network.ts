import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import { type Activity, UNCOUNTED } from '../activity.ts'
import { type Announcement, type ClusterView, EMPTY_VIEW, type ViewChange } from '../cluster/view.ts'
import { type Change, DesiredNetwork, type NetworkSettings } from '../desired/network.ts'
import { KINDS, type NodeObjects } from '../desired/objects.ts'
import type { NetlinkMessage } from '../kernel/message.ts'
import type { EventListener, Netlink } from '../kernel/netlink.ts'
import { apply, type Outcome } from '../reconcile/apply.ts'
import { diff } from '../reconcile/diff.ts'
import type { Subsystem } from '../reconcile/subsystem.ts'
import { listKernel, localFacts, type ThisNode } from './facts.ts'
import { Known } from './known.ts'
import { Report } from './report.ts'
import { announcement } from './settings.ts'
import type { NodeSubsystems } from './subsystems.ts'
import type { TunnelFeatures } from './tunnel-features.ts'
import { WireguardLook } from './wireguard-look.ts'

/** Events come in bursts; what somebody broke is back long before the second that we promise. */
const SETTLE_MS = 50
/** Somebody may undo again and again what we do: looking takes a fifth of the time at most. */
const REST_PER_PASS = 4
const RETRY_MS = { first: 1_000, most: 30_000 } as const
/** Somebody may install what is missing: soon after they have read of it, or never. */
const LOOK_FOR_MISSING_MS = { first: 2_000, most: 30_000 } as const
/** What no event tells of, and what an event may have been lost for. */
const LOOK_EVERY_MS = 300_000
export interface NodeNetworkInput {
  readonly netlink: Netlink
  readonly subsystems: NodeSubsystems
  readonly thisNode: ThisNode
  readonly settings: NetworkSettings
  readonly features: TunnelFeatures
  /** Told whenever what should be there was worked out anew. */
  readonly onDesired: (desired: DesiredNetwork) => void
  /** Told after each look at everything. */
  readonly onLooked?: () => void
  readonly activity?: Activity
  readonly log: Logger
}

/**
 * Keeps this node joined to the others. A change of the cluster is worked out and carried out node by node; a change
 * in the kernel that is none of ours makes it look at everything: list, compare, repair. Events write nothing
 * themselves, and those that say what we want anyway, as the echoes of our own doing, count for nothing.
 */
export class NodeNetwork implements EventListener {
  readonly #input: NodeNetworkInput
  #view: ClusterView | undefined
  #desired: DesiredNetwork | undefined
  readonly #known = new Known()
  readonly #report: Report
  readonly #wireguardLook: WireguardLook
  /** What was heard while everything was listed: the lists may be older, so it is asked once more whether it is news. */
  #heard: NetlinkMessage[] | undefined
  /** The nodes whose entries changed since the last pass. */
  #changed = new Set<string>()
  /** When everything is looked at. */
  #lookAtMs = Number.POSITIVE_INFINITY
  #restUntilMs = 0
  #timer: NodeJS.Timeout | undefined
  /** What was wholly there after the last pass. */
  #settled: { readonly view: ClusterView; readonly desired: DesiredNetwork | undefined } | undefined
  #retryMs: number = RETRY_MS.first
  #lookForMissingMs: number = LOOK_FOR_MISSING_MS.first
  #isRunning = false
  #running: Promise<void> = Promise.resolve()
  readonly #sometimes: NodeJS.Timeout
  readonly #first = Promise.withResolvers<void>()

  constructor(input: NodeNetworkInput) {
    this.#input = input
    this.#report = new Report(input.log)
    this.#wireguardLook = new WireguardLook({
      subsystems: input.subsystems,
      known: this.#known,
      isWanted: () => this.#view !== undefined && (this.#desired?.tunnels.includes('wireguard') ?? false),
      isBusy: () => this.#isRunning || !this.#settled,
      run: (look) => this.#run(look),
      onDamage: () => this.#lookIn(0),
    })
    this.#sometimes = setInterval(() => this.#lookIn(0), LOOK_EVERY_MS).unref()
  }

  /** What the tunnels in use take of the uplink's MTU, in bytes; 0 while there is none. */
  get overheadBytes(): number {
    return this.#desired ? this.#desired.uplinkMtuBytes - this.#desired.mtuBytes : 0
  }

  /** What should be there, and why; undefined before the first view. */
  get desired(): DesiredNetwork | undefined {
    return this.#desired
  }

  get view(): ClusterView {
    return this.#view ?? EMPTY_VIEW
  }

  /** What a person should know, in words; empty is good. */
  get problems(): string[] {
    return this.#report.problems(this.#desired?.problems ?? [])
  }

  get peers(): number {
    const { nodes } = this.view
    return nodes.size - (nodes.has(this.#input.thisNode.name) ? 1 : 0)
  }

  /** What the others should know of this node, also while there are none. @throws KernelError */
  async announcement(): Promise<Announcement> {
    const { features, settings } = this.#input
    await features.tryOwn()
    return announcement(features.encapsulations, settings)
  }

  setView({ view, changed, problems }: ViewChange): void {
    const { log, thisNode, features } = this.#input
    this.#report.told(problems)
    const isOfServices = view?.serviceCidrs !== this.#view?.serviceCidrs
    if (!view || view === this.#view || (this.#view && changed?.size === 0 && !isOfServices)) return
    const first = [...(changed ?? [])].slice(0, 5)
    log.info({ nodes: view.nodes.size, changed: changed && { count: changed.size, first } }, 'the cluster changed')
    const isAboutUs = view.nodes.get(thisNode.name) !== this.#view?.nodes.get(thisNode.name)
    const isNews = [...(changed ?? [])].some((name) => {
      const node = view.nodes.get(name)
      return node !== undefined && features.isNews(node)
    })
    const isAsked = this.#desired?.facts.answers !== undefined // then the kernel has to be asked for each
    const isAll = !changed || !this.#view || isAboutUs || isNews || isAsked || isOfServices
    this.#view = view
    if (isAll) this.#lookAtMs = 0
    else for (const name of changed) this.#changed.add(name)
    this.#schedule()
  }

  /** What we make of the kernel ourselves is no news, and on the way there it may look like some: a link that is not up yet. */
  onMessage(message: NetlinkMessage, causer: number): void {
    if (causer !== this.#input.netlink.port) this.#hear(message)
  }

  #hear(message: NetlinkMessage): void {
    if (!this.#view) return
    this.#heard?.push(message)
    if (this.#known.isNews(message, this.#input.subsystems)) this.#lookIn(SETTLE_MS)
  }

  onGap(): void {
    this.#lookIn(SETTLE_MS)
  }

  /** Looks at everything, now or soon. */
  lookAgain(): void {
    this.#lookIn(SETTLE_MS)
  }

  /** Waits until the first view is there and has been carried out, so that the first pods get the MTU of all; not for ever. */
  async settled(timeoutMs: number): Promise<void> {
    await Promise.race([this.#first.promise, new Promise((resolve) => setTimeout(resolve, timeoutMs).unref())])
  }

  /** Waits for what runs; leaves the kernel as it is. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#wireguardLook.close()
    clearInterval(this.#sometimes)
    this.#view = undefined
    await this.#running
  }

  #lookIn(ms: number): void {
    this.#lookAtMs = Math.min(this.#lookAtMs, Math.max(performance.now() + ms, this.#restUntilMs))
    this.#schedule()
  }

  #schedule(): void {
    clearTimeout(this.#timer)
    if (!this.#view || this.#isRunning) return // nothing is written before the source has listed once
    const dueAtMs = this.#changed.size > 0 ? 0 : this.#lookAtMs
    if (dueAtMs === Number.POSITIVE_INFINITY) return
    this.#timer = setTimeout(() => this.#run(() => this.#reconcile()), Math.max(0, dueAtMs - performance.now())).unref()
  }

  /** One at a time. @param work settles all that may go wrong by itself */
  #run(work: () => Promise<void>): void {
    clearTimeout(this.#timer)
    this.#isRunning = true
    this.#running = work().finally(() => {
      this.#isRunning = false
      this.#schedule()
    })
  }

  async #reconcile(): Promise<void> {
    const view = this.#view
    if (!view) return
    const startedAtMs = performance.now()
    const isLook = !this.#desired || this.#lookAtMs <= startedAtMs
    const { activity = UNCOUNTED } = this.#input
    const before = this.#settled
    this.#settled = undefined
    const changed = this.#changed
    this.#changed = new Set()
    if (isLook) this.#lookAtMs = Number.POSITIVE_INFINITY
    try {
      const outcome =
        isLook || !this.#desired
          ? await this.#reconcileAll(view)
          : await this.#bringAbout(this.#desired.update(view, changed))
      if (this.#desired) this.#input.onDesired(this.#desired)
      this.#report.passed(outcome, isLook)
      this.#first.resolve()
      if (outcome.failures.length > 0) throw new Error(`${outcome.failures.length} objects could not be set`)
      if (isLook) this.#retryMs = RETRY_MS.first
      activity.passed('nodes', performance.now() - startedAtMs, false)
      // It was all there, and nothing else is wanted: so somebody has changed it.
      const [first] = [...outcome.put, ...outcome.removed]
      if (first !== undefined && before?.view === view && this.#isAsBefore(before.desired))
        activity.repaired('nodes', first)
      this.#settled = { view, desired: this.#desired }
    } catch (error) {
      activity.passed('nodes', performance.now() - startedAtMs, true)
      this.#report.failed(error, this.#retryMs)
      this.#lookIn(this.#retryMs)
      this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS.most)
    }
    this.#heard = undefined
    this.#wireguardLook.goOn()
    const endedAtMs = performance.now()
    if (isLook) this.#input.onLooked?.()
    if (isLook) this.#restUntilMs = endedAtMs + (endedAtMs - startedAtMs) * REST_PER_PASS
  }

  /** As if nothing were known: what is there is listed, and whatever is not wanted goes. */
  async #reconcileAll(view: ClusterView): Promise<Outcome> {
    const { netlink, thisNode, settings, subsystems, features } = this.#input
    const missing = await features.missing(view)
    const heard: NetlinkMessage[] = []
    this.#heard = heard
    const listing = await listKernel(netlink, view, thisNode)
    const facts = localFacts(listing, view, thisNode, missing)
    // What was worked out for a peer holds as long as the node is what it was.
    if (!isDeepStrictEqual(facts, this.#desired?.facts)) this.#desired = undefined
    this.#desired ??= new DesiredNetwork(facts, settings)
    this.#desired.update(view)
    const after = this.#desired.objects
    this.#lookForMissing([...missing.values()])
    const before: Partial<Record<keyof NodeObjects, readonly unknown[]>> = {}
    for (const kind of KINDS) before[kind] = await subsystems[kind].list() // links first: the others look up the tunnel by it
    this.#known.replaceAll(listing)
    const outcome = this.#bringAbout({ before: before as NodeObjects, after })
    this.#heard = undefined
    for (const message of heard) this.#hear(message)
    return outcome
  }

  /** What was worked out anew, since the node has a new address or the like, may come to the same. */
  #isAsBefore(before: DesiredNetwork | undefined): boolean {
    const [then, now] = [before?.objects, this.#desired?.objects]
    return KINDS.every((kind) => {
      const subsystem = this.#input.subsystems[kind] as Subsystem<unknown>
      const { missing, changed, extra } = diff<unknown>(now?.[kind] ?? [], then?.[kind] ?? [], subsystem)
      return missing.length + changed.length + extra.length === 0
    })
  }

  /** Again, as long as somebody is without it. */
  #lookForMissing(remedies: readonly string[]): void {
    this.#report.missing(remedies)
    if (!remedies.some((remedy) => this.#desired?.problems.includes(remedy))) {
      this.#lookForMissingMs = LOOK_FOR_MISSING_MS.first
      return
    }
    this.#lookIn(this.#lookForMissingMs)
    this.#lookForMissingMs = Math.min(this.#lookForMissingMs * 2, LOOK_FOR_MISSING_MS.most)
  }

  async #bringAbout({ before, after }: Change): Promise<Outcome> {
    const { subsystems } = this.#input
    this.#known.change({ before, after }, subsystems)
    return apply(
      KINDS.map((kind) => ({
        subsystem: subsystems[kind] as Subsystem<unknown>,
        desired: after[kind],
        actual: before[kind],
      })),
    )
  }
}
