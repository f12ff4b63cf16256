import type { Logger } from 'pino'
import type { Lease, Leases } from '../../ipam/leases.ts'
import { CNI_ERROR, CniError } from '../../plugin/errors.ts'
import { type Activity, UNCOUNTED } from '../activity.ts'
import { outlineOf } from '../desired/masquerade-outline.ts'
import { listAddresses } from '../kernel/addresses.ts'
import { deleteConntrack } from '../kernel/conntrack.ts'
import { streamConntrack } from '../kernel/conntrack-stream.ts'
import type { LazyNftables } from '../kernel/lazy-nftables.ts'
import type { NetlinkRequest } from '../kernel/message.ts'
import { Netlink } from '../kernel/netlink.ts'
import { NETLINK_PROTOCOL } from '../kernel/netlink-socket.ts'
import { isStale } from './stale.ts'
import {
  DEFINITION,
  HOST_PORTS_TABLE,
  LISTINGS,
  listedElement,
  type PortElement,
  placeOf,
  portElements,
  renderElements,
  renderPorts,
  wantedElements,
} from './table.ts'

/** Events come in bursts; what somebody broke is back long before the second that we promise. */
const SETTLE_MS = 50
const RETRY_MS = { first: 1_000, most: 30_000 } as const

export interface PublishedPortsInput {
  /** In the node's network namespace. */
  readonly netlink: Netlink
  readonly nftables: Pick<LazyNftables, 'run' | 'list' | 'show'>
  /** What should be in the kernel follows from these alone. */
  readonly leases: Leases
  readonly activity?: Activity
  readonly log: Logger
}

/**
 * Keeps the ports of the node that lead to pods in the kernel: those of a pod come and go with it, in one transaction, and
 * what somebody changes is put back. There is a table only while a pod has such ports, and of pods without nothing is asked.
 */
export class PublishedPorts {
  readonly #input: PublishedPortsInput
  /** One change at a time, in the order in which they were asked for: a port may go from one pod to the next. */
  #last: Promise<unknown> = Promise.resolve()
  #problem: string | undefined
  #timer: NodeJS.Timeout | undefined
  #lookAtMs = 0
  #retryMs: number = RETRY_MS.first

  constructor(input: PublishedPortsInput) {
    this.#input = input
  }

  /** What a person should know, in words; empty is good. */
  get problems(): string[] {
    return this.#problem === undefined ? [] : [this.#problem]
  }

  /** When the leases are whole: what an agent before this one has left is taken over, or goes. */
  async start(): Promise<void> {
    await this.#inTurn(() => this.#look(UNCOUNTED)).catch((error) => this.#fail(error))
  }

  /** Waits for what runs; leaves the kernel as it is. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#last
  }

  /** @param lease among the leases already @throws CniError, and the pod is not to start */
  async publish(lease: Lease): Promise<void> {
    const elements = lease.hostPorts ? portElements(lease) : []
    if (elements.length === 0) return
    try {
      await this.#inTurn(async () => {
        // Where there is no table yet, or none any more, this is refused.
        await this.#change(renderElements('add', elements))
        await this.#forgetStale([lease])
      })
    } catch (error) {
      throw new CniError(
        CNI_ERROR.kernel,
        `Cannot lead ports of the node to the pod: ${(error as Error).message}`,
        'try: modprobe nft_nat nft_fib_inet nft_masq; see bramblectl status',
        { cause: error },
      )
    }
  }

  /** @param lease among the leases no more. Never throws: what cannot be done now is tried again */
  async withdraw(lease: Lease): Promise<void> {
    const elements = lease.hostPorts ? portElements(lease) : []
    if (elements.length === 0) return
    await this.#inTurn(() => {
      const wanted = this.#wanted()
      const places = new Set(wanted.map(placeOf))
      // The port may be another pod's by now, or the next one's in line: see wantedElements.
      const isOthers = elements.some((element) => places.has(placeOf(element)))
      const isWhole = wanted.length === 0 || isOthers
      return this.#change(isWhole ? renderPorts(wanted) : renderElements('delete', elements))
    }).catch((error) => this.#fail(error))
  }

  /** What is missing in the kernel, or leads elsewhere, in words. @throws NftablesError */
  async differences(leases: readonly Lease[] = this.#input.leases.list()): Promise<string[]> {
    const wanted = leases.flatMap(portElements)
    if (wanted.length === 0) return []
    const there = new Set((await this.#listed()).map(inWords))
    return wanted
      .map(inWords)
      .filter((words) => !there.has(words))
      .map((words) => `${words} is missing in ${HOST_PORTS_TABLE}`)
  }

  /** Somebody has changed the table, or may have. */
  lookAgain(): void {
    if (this.#wanted().length > 0) this.#lookIn(SETTLE_MS)
  }

  /** Or sooner, if that was said before. */
  #lookIn(ms: number): void {
    const atMs = performance.now() + ms
    if (this.#timer && this.#lookAtMs <= atMs) return
    clearTimeout(this.#timer)
    this.#lookAtMs = atMs
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#inTurn(() => this.#look(this.#input.activity)).catch((error) => this.#fail(error))
    }, ms).unref()
  }

  #fail(error: Error): void {
    const problem = `ports of the node may not lead to their pods: ${error.message}`
    if (problem !== this.#problem) this.#input.log.error({ err: error }, 'ports of pods cannot be set; trying again')
    this.#problem = problem
    this.#lookIn(this.#retryMs)
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS.most)
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => {})
    return turn
  }

  #wanted(): PortElement[] {
    return wantedElements(this.#input.leases.list())
  }

  /** Elements alone or, where these do not fit to what is there, the whole. @throws NftablesError */
  async #change(commands: string): Promise<void> {
    const { nftables } = this.#input
    try {
      await nftables.run(commands)
    } catch {
      await nftables.run(renderPorts(this.#wanted()))
    }
  }

  /** @throws NftablesError, KernelError */
  async #look(activity = UNCOUNTED): Promise<void> {
    const { nftables, leases, log } = this.#input
    const wanted = this.#wanted()
    const damage = await this.#damage(wanted)
    if (damage !== undefined) {
      await nftables.run(renderPorts(wanted))
      await this.#forgetStale(leases.list())
      activity.repaired('pods', `${HOST_PORTS_TABLE}: ${damage}`)
      log.warn({ table: HOST_PORTS_TABLE, damage }, 'ports of pods were not as they should be; they are put back')
    }
    this.#problem = undefined
    this.#retryMs = RETRY_MS.first
  }

  /** How the table differs from what it should be; undefined where it does not. */
  async #damage(wanted: readonly PortElement[]): Promise<string | undefined> {
    const text = await this.#input.nftables.show(`list table ${HOST_PORTS_TABLE}`)
    if (wanted.length === 0) return text === '' ? undefined : 'no pod has ports any more'
    if (text === '') return 'the table is gone'
    if (outlineOf(text) !== outlineOf(DEFINITION)) return 'chains or sets are not as they were made'
    const there = new Set((await this.#listed()).map(inWords))
    const isSame = there.size === wanted.length && wanted.every((one) => there.has(inWords(one)))
    return isSame ? undefined : 'it has other ports'
  }

  async #listed(): Promise<PortElement[]> {
    const lists = await Promise.all(
      LISTINGS.map(async ({ name, kind }) => {
        const [object] = await this.#input.nftables.list(`list ${kind} ${HOST_PORTS_TABLE} ${name}`)
        const { elem = [] } = (object as Partial<Record<string, { elem?: unknown[] }>> | undefined)?.[kind] ?? {}
        return elem.map((element) => listedElement(name, element))
      }),
    )
    return lists.flat()
  }

  /** Once the ports lead to their pods. A kernel that lists no connections has pods all the same. */
  async #forgetStale(leases: readonly Lease[]): Promise<void> {
    const users = leases.filter(({ hostPorts }) => hostPorts?.some(({ protocol }) => protocol === 'udp'))
    if (users.length === 0) return
    const connections = new Netlink(NETLINK_PROTOCOL.netfilter)
    try {
      const nodeAddresses = new Set((await listAddresses(this.#input.netlink)).map(({ address }) => address))
      const deletions: NetlinkRequest[] = []
      await streamConntrack(connections, (entry) => {
        if (users.some((lease) => isStale(entry, lease, nodeAddresses))) deletions.push(deleteConntrack(entry))
      })
      await connections.trySend(deletions) // one that is gone by itself is no loss
    } catch (error) {
      this.#input.log.warn(
        { err: error },
        'connections to a port from before cannot be ended: senders of UDP may have to begin anew',
      )
    } finally {
      connections.close()
    }
  }
}

function inWords({ set, key, leadsTo }: PortElement): string {
  return `${set} { ${key}${leadsTo === '' ? '' : ` : ${leadsTo}`} }`
}
