import { setImmediate as turn } from 'node:timers/promises'
import type { Lease } from '../../ipam/leases.ts'
import { type Activity, UNCOUNTED } from '../activity.ts'
import { isAlreadyExists, isNotFound, KernelError } from '../kernel/errors.ts'
import { type Link, listLinks, RTM_DELLINK, RTM_NEWLINK } from '../kernel/links.ts'
import type { NetlinkMessage } from '../kernel/message.ts'
import type { EventListener } from '../kernel/netlink.ts'
import { getSysctl, putSysctl } from '../kernel/sysctl.ts'
import type { PodNetwork } from './network.ts'
import { type LinkObjects, listLinkObjects, observedSide, readSysctls } from './observe.ts'
import { hostSideOf, type PutBack, putBack } from './put-back.ts'
import { type Look, Suspects } from './suspects.ts'
import type { Turns } from './turns.ts'

/** Events come in bursts; what somebody broke is back long before the second that we promise. */
const SETTLE_MS = 50
/** Somebody may undo again and again what we do: looking takes a fifth of the time, unless a second would pass over it. */
const REST_PER_PASS = 4
const REST_MS_MAX = 500
/** What could not be put back: what is in the way may go without a word that we understand. */
const RETRY_MS = { first: 1_000, most: 30_000 } as const
/** What no event tells of, such as some settings, and what an event may have been lost for. */
const LOOK_EVERY_MS = 300_000

/** What is amiss with one pod, and how it is put back. */
interface Damage extends PutBack {
  readonly index: number
  readonly lease: Lease
}

/**
 * Puts back what somebody takes from a pod's side on the node: routes, neighbours, addresses, settings, a link set down,
 * a MAC rewritten. What is inside of the pod is the pod's. Events only say whom to look at; those of our own doing, as
 * ADD and DEL, cost a comparison of two numbers.
 */
export class PodRepair implements EventListener {
  readonly #network: PodNetwork
  readonly #turns: Turns
  readonly #activity: Activity
  readonly #suspects: Suspects
  /** What could not be put back, by the index of the host link. */
  readonly #problems = new Map<number, readonly string[]>()
  /** Our own port, once there is anything to look after. */
  #port: number | undefined
  #timer: NodeJS.Timeout | undefined
  #retry: NodeJS.Timeout | undefined
  #sometimes: NodeJS.Timeout | undefined
  #retryMs: number = RETRY_MS.first
  #restUntilMs = 0
  #running: Promise<void> | undefined

  constructor(network: PodNetwork, turns: Turns, activity = UNCOUNTED) {
    this.#network = network
    this.#turns = turns
    this.#activity = activity
    this.#suspects = new Suspects(network, turns)
  }

  /** What a person should know, in words; empty is good. */
  get problems(): string[] {
    return [...this.#problems].flatMap(([index, problems]) => (this.#network.links.has(index) ? problems : []))
  }

  /** When the picture is whole: looks at every pod, and from then on at what events say. */
  start(): void {
    this.#port = this.#network.netlink.port
    this.#sometimes = setInterval(() => this.#suspectAll(), LOOK_EVERY_MS).unref()
    this.#suspectAll()
  }

  /** Waits for what runs. */
  async close(): Promise<void> {
    this.#port = undefined
    clearTimeout(this.#timer)
    clearTimeout(this.#retry)
    clearInterval(this.#sometimes)
    await this.#running
  }

  onMessage(message: NetlinkMessage, causer: number): void {
    if (this.#port === undefined || causer === this.#port) return
    this.#suspects.hear(message)
    // Where a link goes, or goes down, its routes go without a word; among them may be what was in the way.
    if (message.type === RTM_DELLINK || message.type === RTM_NEWLINK) this.#suspectProblems()
    this.#schedule()
  }

  onGap(): void {
    this.#suspectAll()
  }

  #suspectProblems(): void {
    for (const index of this.#problems.keys()) this.#suspects.add(index, 'settings, too')
    this.#schedule()
  }

  #suspectAll(): void {
    this.#suspects.addAll()
    this.#schedule()
  }

  #schedule(): void {
    if (this.#timer || this.#running || this.#port === undefined || this.#suspects.isEmpty) return
    const waitMs = Math.max(SETTLE_MS, this.#restUntilMs - performance.now())
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#running = this.#look().finally(() => {
        this.#running = undefined
        this.#schedule()
      })
    }, waitMs).unref()
  }

  async #look(): Promise<void> {
    const suspects = this.#suspects.take()
    if (suspects.size === 0) return
    const startedAtMs = performance.now()
    try {
      const { netlink } = this.#network
      const [links, objects] = await Promise.all([listLinks(netlink), listLinkObjects(netlink)])
      await this.#putBack(await this.#damages(suspects, links, objects))
      this.#activity.passed('pods', performance.now() - startedAtMs, this.#problems.size > 0)
    } catch (error) {
      this.#activity.passed('pods', performance.now() - startedAtMs, true)
      this.#network.log.error({ err: error }, 'cannot look after the pods on the node; trying again')
      for (const [index, look] of suspects) this.#suspects.add(index, look)
    }
    this.#retryLater()
    const endedAtMs = performance.now()
    this.#restUntilMs = endedAtMs + Math.min((endedAtMs - startedAtMs) * REST_PER_PASS, REST_MS_MAX)
  }

  async #damages(suspects: ReadonlyMap<number, Look>, links: readonly Link[], objects: LinkObjects): Promise<Damage[]> {
    const byIndex = new Map(links.map((link) => [link.index, link]))
    const damages: Damage[] = []
    for (const [index, look] of suspects) {
      const link = byIndex.get(index)
      const lease = this.#leaseOn(index)
      // Where the link's record could not be read, the lease stands under the link's name: what belongs there is not known.
      if (!link || !lease || lease.containerId === link.name) continue
      const host = hostSideOf(lease, link, this.#network.hasIpv6)
      if (look === 'settings, too') await turn() // reading files holds up everything: calls may come in between
      const sysctls = look === 'settings, too' ? readSysctls(host, getSysctl) : host.sysctls
      const { requests, sysctls: unset } = putBack(lease, host, observedSide(link, objects, { sysctls, rules: [] }))
      if (requests.length + unset.length > 0) damages.push({ index, lease, requests, sysctls: unset })
      else this.#problems.delete(index)
    }
    return damages
  }

  /**
   * All in one batch, in their containers' turns. What was listed before is good enough: as long as the link is the
   * lease's, it should have what is put, whatever happened meanwhile.
   */
  #putBack(damages: readonly Damage[]): Promise<void> {
    return this.#turns.takeFree(new Set(damages.map(({ lease }) => lease.containerId)), async (free) => {
      const due = damages.filter(({ index, lease }) => {
        if (free.has(lease.containerId)) return this.#leaseOn(index) === lease
        this.#suspects.add(index, 'settings, too')
        return false
      })
      const refused = due.map(({ sysctls }) => sysctls.flatMap((sysctl) => refusalOf(() => putSysctl(sysctl))))
      const outcomes = await this.#network.netlink.trySend(due.flatMap(({ requests }) => requests))
      let position = 0
      for (const [at, damage] of due.entries()) {
        const refusals = outcomes.slice(position, position + damage.requests.length).filter(isRefusal)
        position += damage.requests.length
        this.#note(damage, [...(refused[at] ?? []), ...refusals])
      }
      this.#report(due)
    })
  }

  #note({ index, lease }: Damage, refusals: readonly KernelError[]): void {
    const before = this.#problems.get(index) ?? []
    const problems = refusals.filter((error) => !isNotFound(error)).map((error) => inWords(lease, error))
    if (problems.length > 0) this.#problems.set(index, problems)
    else this.#problems.delete(index)
    for (const problem of problems)
      if (!before.includes(problem))
        this.#network.log.error({ pod: lease.pod, containerId: lease.containerId, problem }, 'cannot put back')
  }

  #leaseOn(index: number): Lease | undefined {
    const owner = this.#network.links.get(index)
    return owner && this.#network.leases.get(owner.containerId, owner.ifname)
  }

  #report(damages: readonly Damage[]): void {
    const whole = damages.filter(({ index }) => !this.#problems.has(index))
    const names = whole.flatMap(({ requests, sysctls }) => [
      ...sysctls.map(({ key, value }) => `${key}=${value}`),
      ...requests.map(({ name }) => name),
    ])
    if (whole.length === 0) return
    this.#activity.repaired('pods', names[0] ?? '')
    this.#network.log.warn(
      { pods: whole.length, put: { count: names.length, first: names.slice(0, 5) } },
      'somebody changed what pods have on the node; it is put back',
    )
  }

  #retryLater(): void {
    clearTimeout(this.#retry)
    for (const index of this.#problems.keys()) if (!this.#network.links.has(index)) this.#problems.delete(index)
    if (this.#problems.size === 0) {
      this.#retryMs = RETRY_MS.first
      return
    }
    this.#retry = setTimeout(() => {
      this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS.most)
      this.#suspectProblems()
    }, this.#retryMs).unref()
  }
}

function refusalOf(work: () => void): KernelError[] {
  try {
    work()
    return []
  } catch (error) {
    if (error instanceof KernelError) return [error]
    throw error
  }
}

function isRefusal(outcome: unknown): outcome is KernelError {
  return outcome instanceof KernelError
}

function inWords({ pod, containerId }: Lease, error: KernelError): string {
  const whose = `of ${pod || `container ${containerId}`}`
  const [, destination] = /^route add (\S+)/.exec(error.request) ?? []
  return destination && isAlreadyExists(error)
    ? `the route ${destination} ${whose} is taken by another program's: look with ip route show ${destination}, and remove that`
    : `${error.message}: cannot put back what is ${whose} on the node; see the log of bramble-agent`
}
