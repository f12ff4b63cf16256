import type { Logger } from 'pino'
import type { Lease, Leases } from '../../ipam/leases.ts'
import type { Activity } from '../activity.ts'
import type { ClusterNode } from '../cluster/view.ts'
import { NO_WORKLOADS, type WorkloadChange, type WorkloadSource, type Workloads } from '../cluster/workloads.ts'
import type { LocalPod, PolicyInput } from '../policy/input.ts'
import { type ChangedState, DesiredPolicy } from '../ruleset/desired.ts'
import { type CounterValue, type Ending, isNoChange } from '../ruleset/table.ts'
import { DropLog } from './drop-log.ts'
import type { KernelTable, Look } from './kernel-table.ts'
import { type Knowledge, localPod } from './local-pods.ts'
import { Newcomers } from './newcomers.ts'
import { Passes } from './passes.ts'
import { Report } from './report.ts'
import { PodsWaitedFor } from './wait-for-pod.ts'
import { WiredPods } from './wired-pods.ts'

/** A pod that has gone is in nobody's way, and others go with it. */
const FORGET_MS = 100
/** What no event tells of, and what an event may have been lost for. */
const LOOK_EVERY_MS = 300_000
export interface EnforcementParts {
  readonly settings: Pick<PolicyInput, 'nodeName' | 'mode' | 'failsOpen' | 'tunnelPorts'> & {
    /** For so long a pod that starts waits to be known. */
    readonly waitMs: number
  }
  readonly leases: Leases
  /** undefined: of no policy is ever known. */
  readonly source: WorkloadSource | undefined
  readonly table: KernelTable
  readonly connections: {
    /** What addresses without a pod have left from before; none has been given out yet. */
    begin(isOwnerless: (address: string) => boolean): void
    /** Nothing leads to these addresses any more. */
    freed(addresses: readonly string[]): void
    /** Before they are given out again. */
    settled(addresses: readonly string[]): Promise<void>
    /** Rules have changed under which connections of these pods may have begun. */
    rulesChanged(input: PolicyInput, links: ReadonlySet<string>): void
    close(): Promise<void>
  }
  readonly activity?: Activity
  readonly log: Logger
}

/**
 * Keeps the kernel's table of policies what the cluster wants. A pod that starts passes the gate when its rules are in the
 * kernel; what changes in the cluster follows in a few milliseconds; what somebody breaks is made whole. The table stays
 * when the agent ends, and the next one takes over in one transaction, once it knows everything.
 */
export class PolicyEnforcement {
  readonly #parts: EnforcementParts
  readonly #waitedFor: PodsWaitedFor
  readonly #drops: DropLog
  readonly #newcomers: Newcomers
  readonly #report: Report
  readonly #passes = new Passes(() => this.#pass())
  #workloads: Workloads | undefined
  #nodes: ReadonlyMap<string, ClusterNode> | undefined
  readonly #wired: WiredPods
  /** undefined: nothing of the cluster is in the kernel yet, or it is not known what is. */
  #desired: DesiredPolicy | undefined
  /** Since the last pass; undefined: anything may have. */
  #changed: Changes | undefined
  #look: Look | undefined
  #canLog: Promise<boolean> = Promise.resolve(true)
  readonly #sometimes: NodeJS.Timeout

  constructor(parts: EnforcementParts) {
    this.#parts = parts
    this.#waitedFor = new PodsWaitedFor(
      parts.source,
      (lease) => !localPod(lease, this.#knowledge).isUnknown,
      ({ pod }, reason) => parts.log.warn({ pod, reason }, 'a pod starts that cannot be asked for'),
    )
    this.#wired = new WiredPods(parts.leases)
    this.#drops = new DropLog(this, parts.log)
    this.#newcomers = new Newcomers(parts.settings, parts.table)
    this.#report = new Report(parts.log, parts.activity)
    if (!parts.source) this.#workloads = NO_WORKLOADS
    this.#sometimes = setInterval(() => this.lookAgain(), LOOK_EVERY_MS).unref()
  }

  /** From here on the kernel follows the cluster. The leases must be whole, those of an earlier agent among them. */
  start(): void {
    this.#wired.update(this.#knowledge)
    this.#parts.connections.begin(this.#parts.leases.ownerless())
    this.#canLog = this.#drops.start()
    this.#parts.source?.start((change) => this.#setWorkloads(change))
    this.#passes.start()
  }

  /** @param changed undefined: any may have */
  setNodes(nodes: ReadonlyMap<string, ClusterNode>, changed?: ReadonlySet<string>): void {
    this.#note(changed && { ...NOTHING, nodes: changed })
    this.#nodes = nodes
    this.#passes.soon()
  }

  /**
   * When it returns, the kernel holds to what the cluster wants of this pod; or, where the cluster has said nothing of it
   * in time, nothing gets through until it does. @throws NftablesError; the signal's reason, or that of letGo()
   */
  async admit(lease: Lease, signal: AbortSignal): Promise<void> {
    const { settings, connections, source, log } = this.#parts
    const { waitMs, failsOpen } = settings
    if (!(await this.#waitedFor.untilKnown(lease, waitMs, signal)))
      log.warn({ pod: lease.pod, waitMs, failsOpen }, 'a pod starts of which the cluster has said nothing in time')
    if (this.#wired.isLeaving(lease.addresses)) await this.#passes.now().catch(() => {}) // told, and tried again
    await connections.settled(lease.addresses)
    this.#wired.note(lease)
    const isIn = this.#passes.now()
    if (source) await isIn
    else await isIn.catch(() => {}) // there are no policies to hold to; what fails is told
  }

  /**
   * What the kernel has for it does no harm while its addresses rest.
   * @param lease that is gone; undefined: any may have come or gone
   */
  forget(lease?: Lease): void {
    this.#wired.note(lease)
    this.#passes.soon(FORGET_MS)
  }

  /** Somebody else may have changed the table. */
  lookAgain(look: Look = 'everything'): void {
    if (this.#look !== 'everything') this.#look = look
    this.#passes.soon()
  }

  /** What the rules follow from; undefined while the cluster has not told all of it. */
  get input(): PolicyInput | undefined {
    if (!this.#workloads || !this.#nodes) return undefined
    const { isComplete } = this.#knowledge
    const workloads = isComplete ? this.#wired.workloadsWith(this.#workloads) : this.#workloads
    return { ...this.#parts.settings, workloads, nodes: this.#nodes, localPods: this.#wired.all }
  }

  /** Policies that are known. */
  get count(): number {
    return this.#workloads?.policies.size ?? 0
  }

  /** What should be in the kernel; undefined while that is what an earlier agent left. */
  get table(): DesiredPolicy['table'] | undefined {
    return this.#desired?.table
  }

  /** What becomes of packets in a chain where they end; undefined for any other. */
  endingOf(chain: string): Ending | undefined {
    return this.#desired?.endingOf(chain)
  }

  /** What the kernel has counted, by the name of the counter. @throws NftablesError */
  counters(): Promise<ReadonlyMap<string, CounterValue>> {
    return this.#parts.table.counters()
  }

  /** Why the kernel does not hold to the policies; undefined where it does. */
  get failure(): string | undefined {
    return this.#report.failure
  }

  /** The same, where for that reason no pod starts: without a cluster there are no policies to hold to. */
  get closedBecause(): string | undefined {
    return this.#parts.source && this.#report.lastingFailure
  }

  /** What a person should know, in words; empty is good. */
  get problems(): string[] {
    const all = [...this.#wired.all]
    // Before the cluster has told all of it, older pods have the rules that an earlier agent left.
    const followed = this.input ? all : all.filter(([link]) => this.#newcomers.has(link))
    return this.#report.problems(
      followed.map(([, pod]) => pod),
      this.#parts.settings.failsOpen,
    )
  }

  /** The agent ends: a pod that waits to be known is not to hold it up. @param reason what its ADD throws */
  letGo(reason: Error): void {
    this.#waitedFor.end(reason)
  }

  async close(): Promise<void> {
    const ended = this.#passes.close() // none begins from here on
    clearInterval(this.#sometimes)
    this.#drops.close()
    await this.#parts.source?.close()
    await ended
    await this.#parts.connections.close()
  }

  #setWorkloads({ workloads, changed, problems }: WorkloadChange): void {
    this.#report.told(problems)
    if (!workloads) return
    this.#note(changed && { ...NOTHING, ...changed })
    if (!changed || this.#wired.isConcernedBy(changed)) this.#wired.note()
    this.#workloads = workloads
    this.#waitedFor.look()
    this.#passes.soon()
  }

  #note(changed: Changes | undefined): void {
    const before = this.#changed
    this.#changed = changed &&
      before && {
        pods: both(before.pods, changed.pods),
        namespaces: both(before.namespaces, changed.namespaces),
        policies: both(before.policies, changed.policies),
        nodes: both(before.nodes, changed.nodes),
      }
  }

  get #knowledge(): Knowledge {
    return { workloads: this.#workloads, isComplete: this.#parts.source?.isComplete ?? true }
  }

  async #pass(): Promise<void> {
    this.#parts.table.canLog = await this.#canLog
    const startedAtMs = performance.now()
    const [before, look] = [this.#wired.all, this.#look]
    try {
      await this.#bringAbout()
      this.#report.passed(performance.now() - startedAtMs)
    } catch (error) {
      // Of what was to be done, nothing is known to be: not who has come and gone, nor what somebody may have broken.
      this.#wired.revert(before)
      this.#desired = undefined
      this.#look = look === 'everything' ? look : (this.#look ?? look)
      this.#report.failed(performance.now() - startedAtMs, error as Error)
      throw error
    }
  }

  async #bringAbout(): Promise<void> {
    const { connections } = this.#parts
    const [before, changed, look] = [this.#wired.all, this.#changed, this.#look]
    const others = this.#wired.update(this.#knowledge)
    const after = this.#wired.all
    this.#changed = NOTHING
    this.#look = undefined
    const { input } = this
    const concerned = input
      ? await this.#follow(input, changed && { ...changed, localPods: new Set(others.keys()) }, look)
      : await this.#waitForCluster(before, after, look)
    for (const [link, was] of others)
      if (was && after.get(link)?.addresses !== was.addresses) connections.freed(was.addresses)
    const older = [...concerned].filter((link) => before.has(link) && after.has(link))
    if (input && older.length > 0) connections.rulesChanged(input, new Set(older))
  }

  /** @returns the links of the pods for which the rules may say something else than before */
  async #follow(
    input: PolicyInput,
    changed: ChangedState | undefined,
    look: Look | undefined,
  ): Promise<ReadonlySet<string>> {
    const concerned = this.#desired ? await this.#change(this.#desired, input, changed) : await this.#makeAnew(input)
    if (this.#desired) this.#report.compared(this.#desired.problems)
    const repaired = look && this.#desired && (await this.#repairIfDamaged(this.#desired, input, look))
    return repaired || concerned
  }

  async #waitForCluster(
    before: ReadonlyMap<string, LocalPod>,
    after: ReadonlyMap<string, LocalPod>,
    look: Look | undefined,
  ): Promise<ReadonlySet<string>> {
    const { wasGone } = await this.#newcomers.close(before, after, look !== undefined)
    if (wasGone) {
      const damage = 'the table was gone, and the cluster has not told yet what was in it'
      this.#report.repaired(damage, '')
    }
    return new Set()
  }

  /** @returns the links of the pods for which the rules may say something else than before */
  async #makeAnew(input: PolicyInput): Promise<ReadonlySet<string>> {
    const desired = new DesiredPolicy(input)
    desired.update(input)
    await this.#parts.table.takeOver(desired.table)
    this.#desired = desired
    this.#parts.log.info(
      { pods: input.localPods.size, policies: input.workloads.policies.size },
      'the table of policies is in the kernel',
    )
    return new Set(input.localPods.keys())
  }

  async #change(
    desired: DesiredPolicy,
    input: PolicyInput,
    changed: ChangedState | undefined,
  ): Promise<ReadonlySet<string>> {
    const { change, concerned } = desired.update(input, changed)
    try {
      if (!isNoChange(change)) await this.#parts.table.change(change)
    } catch (error) {
      // It was for another table than the kernel has.
      this.#parts.log.warn({ err: error }, 'the kernel does not take a change of policies; making the table anew')
      return this.#replace(desired, input)
    }
    return concerned
  }

  /** @returns all pods: nobody knows what began while the kernel had another table */
  async #replace(desired: DesiredPolicy, input: PolicyInput): Promise<ReadonlySet<string>> {
    this.#desired = undefined
    await this.#parts.table.takeOver(desired.table)
    this.#desired = desired
    return new Set(input.localPods.keys())
  }

  /** @returns whose connections may have begun meanwhile; undefined where there was no damage */
  async #repairIfDamaged(
    desired: DesiredPolicy,
    input: PolicyInput,
    look: Look,
  ): Promise<ReadonlySet<string> | undefined> {
    const damage = await this.#parts.table.damage(desired.table, look)
    if (damage === undefined) return undefined
    const concerned = await this.#replace(desired, input)
    this.#report.repaired(damage, '; it is whole again')
    return concerned
  }
}

type Changes = Omit<ChangedState, 'localPods'>
const NOTHING: Changes = { pods: new Set(), namespaces: new Set(), policies: new Set(), nodes: new Set() }

function both(a: ReadonlySet<string>, b: ReadonlySet<string>): ReadonlySet<string> {
  return a.size === 0 ? b : b.size === 0 ? a : new Set([...a, ...b])
}
