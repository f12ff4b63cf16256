import type { Logger } from 'pino'
import type { Cidr } from '../../ipam/address.ts'
import { type ClusterView, EMPTY_VIEW, type ViewChange, type ViewProblem } from '../cluster/view.ts'
import { type DesiredNetwork, desiredNetwork, type NetworkSettings, VXLAN_OVERHEAD_BYTES } from '../desired/network.ts'
import { underlayFamily } from '../desired/way.ts'
import { addressIn } from '../kernel/addresses.ts'
import { linkIndexOf, parseLink, RTM_DELLINK, RTM_NEWLINK } from '../kernel/links.ts'
import type { NetlinkMessage } from '../kernel/message.ts'
import { neighbourLinkOf, RTM_DELNEIGH, RTM_NEWNEIGH } from '../kernel/neighbours.ts'
import type { EventListener, Netlink } from '../kernel/netlink.ts'
import { concernsRouting, RTM_DELROUTE, RTM_NEWROUTE } from '../kernel/routes.ts'
import { isPodLink, ROUTE_PROTOCOL } from '../ownership.ts'
import { apply, type Outcome } from '../reconcile/apply.ts'
import { readFacts } from './facts.ts'
import { nodeSubsystems } from './subsystems.ts'

/** Events come in bursts; what somebody broke is back long before the second that we promise. */
const SETTLE_MS = 50
const RETRY_MS = { first: 1_000, most: 30_000 } as const

const CANNOT = 'the network between nodes is not as it should be; see the log of bramble-agent'

export interface NodeNetworkInput {
  readonly netlink: Netlink
  readonly nodeName: string
  readonly podCidrs: readonly Cidr[]
  readonly settings: NetworkSettings
  readonly hasIpv6: boolean
  readonly uplinkMtuBytes: () => Promise<number>
  readonly log: Logger
}

/**
 * Keeps this node joined to the others: whenever the cluster or the kernel changes, all that should be there is worked
 * out anew, compared with what is there, and the difference carried out. Events write nothing themselves.
 */
export class NodeNetwork implements EventListener {
  readonly #input: NodeNetworkInput
  readonly #subsystems: ReturnType<typeof nodeSubsystems>
  #view: ClusterView | undefined
  #problems: readonly string[] = []
  #viewProblems: readonly ViewProblem[] = []
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> = Promise.resolve()
  readonly #first = Promise.withResolvers<void>()
  #dueAtMs = Number.POSITIVE_INFINITY
  #retryMs: number = RETRY_MS.first
  #overheadBytes = 0

  constructor(input: NodeNetworkInput) {
    this.#input = input
    this.#subsystems = nodeSubsystems(input.netlink, input.hasIpv6)
  }

  /** What tunnels take of the uplink's MTU, in bytes; 0 while there is none. */
  get overheadBytes(): number {
    return this.#overheadBytes
  }

  /** What a person should know, in words; empty is good. */
  get problems(): string[] {
    return [...this.#viewProblems.map(({ object, reason }) => `${object}: ${reason}`), ...this.#problems]
  }

  get peers(): number {
    const { nodes } = this.#view ?? EMPTY_VIEW
    return nodes.size - (nodes.has(this.#input.nodeName) ? 1 : 0)
  }

  setView({ view, problems }: ViewChange): void {
    const { log } = this.#input
    for (const { object, reason } of problems)
      log.warn({ object, reason }, 'the cluster has something that cannot be used')
    this.#viewProblems = problems
    if (!view) return
    log.info({ nodes: view.nodes.size }, 'the cluster changed')
    this.#view = view
    this.#dirty(0)
  }

  onMessage(message: NetlinkMessage): void {
    if (this.#view && this.#concernsNodes(message)) this.#dirty(SETTLE_MS)
  }

  onGap(): void {
    this.#dirty(SETTLE_MS)
  }

  /** Waits until the first view has been carried out, so that the first pods get the MTU of all; not for ever. */
  async settled(timeoutMs: number): Promise<void> {
    if (!this.#view) return
    await Promise.race([this.#first.promise, new Promise((resolve) => setTimeout(resolve, timeoutMs).unref())])
  }

  /** Waits for what runs; leaves the kernel as it is. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#view = undefined
    await this.#running
  }

  /** Asks for a look in so many milliseconds, or earlier if one is due earlier. */
  #dirty(inMs: number): void {
    if (!this.#view) return // nothing is written before the source has listed once
    const dueAtMs = performance.now() + inMs
    if (this.#dueAtMs <= dueAtMs) return
    this.#dueAtMs = dueAtMs
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#dueAtMs = Number.POSITIVE_INFINITY
      this.#running = this.#running.then(() => this.#reconcile())
    }, inMs).unref()
  }

  async #reconcile(): Promise<void> {
    if (!this.#view) return
    const { log, netlink, nodeName, podCidrs, settings, uplinkMtuBytes } = this.#input
    try {
      const facts = await readFacts(netlink, this.#view, nodeName, podCidrs, await uplinkMtuBytes())
      const desired = desiredNetwork(this.#view, facts, settings)
      this.#overheadBytes = desired.links.length > 0 ? VXLAN_OVERHEAD_BYTES[underlayFamily(facts.self)] : 0
      const outcome = await this.#bringAbout(desired)
      this.#report(desired, outcome)
      this.#first.resolve()
      if (outcome.failures.length > 0) throw new Error(`${outcome.failures.length} objects could not be set`)
      this.#retryMs = RETRY_MS.first
    } catch (error) {
      this.#problems = [...this.#problems.filter((one) => one !== CANNOT), CANNOT]
      log.error(
        { err: error, retryMs: this.#retryMs },
        'the network between nodes is not as it should be; trying again',
      )
      this.#dirty(this.#retryMs)
      this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS.most)
    }
  }

  async #bringAbout(desired: DesiredNetwork): Promise<Outcome> {
    const { links, addresses, neighbours, fdb, routes } = this.#subsystems
    const actualLinks = await links.list() // first: the others look up the tunnel by it
    const [actualAddresses, actualNeighbours, actualFdb, actualRoutes] = await Promise.all([
      addresses.list(),
      neighbours.list(),
      fdb.list(),
      routes.list(),
    ])
    return apply([
      { subsystem: links, desired: desired.links, actual: actualLinks },
      { subsystem: addresses, desired: desired.addresses, actual: actualAddresses },
      { subsystem: neighbours, desired: desired.neighbours, actual: actualNeighbours },
      { subsystem: fdb, desired: desired.fdb, actual: actualFdb },
      { subsystem: routes, desired: desired.routes, actual: actualRoutes },
    ])
  }

  #report(desired: DesiredNetwork, { put, removed, failures }: Outcome): void {
    const { log } = this.#input
    this.#problems = [
      ...desired.problems,
      ...failures.map(({ object, error }) => `${object} cannot be set: ${error.message}`),
    ]
    const shown = (objects: readonly string[]) => ({ count: objects.length, first: objects.slice(0, 5) })
    if (put.length + removed.length > 0)
      log.info({ put: shown(put), removed: shown(removed) }, 'network between nodes set')
    for (const { object, error } of failures.slice(0, 5)) log.error({ object, err: error }, 'cannot set an object')
  }

  /** Pods come and go without a change between nodes. */
  #concernsNodes(message: NetlinkMessage): boolean {
    switch (message.type) {
      case RTM_NEWLINK:
      case RTM_DELLINK:
        return linkIndexOf(message) !== 1 && !isPodLink(parseLink(message))
      case RTM_NEWROUTE:
      case RTM_DELROUTE:
        return concernsRouting(message, ROUTE_PROTOCOL)
      case RTM_NEWNEIGH:
      case RTM_DELNEIGH: // fdb entries, too
        return this.#subsystems.isTunnel(neighbourLinkOf(message))
      default:
        return !addressIn(message)?.startsWith('fe80:') // as every link has
    }
  }
}
