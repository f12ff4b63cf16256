import { readlinkSync } from 'node:fs'
import type { Logger } from 'pino'
import type { Cidr, Family } from '../../../ipam/address.ts'
import { bootId } from '../../clock.ts'
import type { ViewProblem } from '../problem.ts'
import type { Announcement, ClusterNode, ClusterSource, NodeRegistry, RegisteredNode, ViewChange } from '../view.ts'
import { Changes } from './changes.ts'
import { Connection, RedisError } from './connection.ts'
import { type Endpoint, parseEndpoint, type TlsFiles } from './endpoint.ts'
import { nodeRows, removeNode } from './nodes.ts'
import { type Range, rangesOf } from './ranges.ts'
import { Registration } from './registration.ts'
import { OWNER_SILENT_S } from './scripts.ts'
import { Store } from './store.ts'

/** A look at Redis: with the silence that a connection survives, a dead one is noticed within 10 s. */
const LOOK_EVERY_MS = 4_000
/**
 * Each is a write into the append-only file of Redis, about 150 bytes: for 100 nodes, 20 MB a day on what may be an SD
 * card. Who is silent is nobody's business but a person's, so a minute is soon enough.
 */
const SAY_EVERY_MS = 60_000
/** What came up while it was said is said soon. */
const SAY_AGAIN_MS = 200
const LEAVE_TIMEOUT_MS = 500

export interface RedisSourceInput {
  /** `redis://USER:PASSWORD@HOST:6379/0`, or `rediss://` for TLS. */
  readonly url: string
  readonly tls?: TlsFiles
  readonly nodeName: string
  /** This node's own, at most one of each family, until announce is told others. */
  readonly addresses: () => readonly string[]
  readonly clusterCidrs: readonly Cidr[]
  readonly nodeMasks: Readonly<Record<Family, number>>
  /** What this node had when its agent ran last. */
  readonly formerCidrs?: readonly Cidr[]
  /** The others, as they were known then: what Redis has lost meanwhile and nobody removed stays in force. */
  readonly knownNodes?: readonly ClusterNode[]
  /** Which boot of which machine speaks. */
  readonly instance?: string
  /** See RegistrationInput. */
  readonly silentMs?: number
  readonly log: Logger
}

/** The cluster in Redis: nodes register themselves, get their pod CIDRs, and hear of each other. */
export class RedisSource implements ClusterSource, NodeRegistry {
  readonly registry = this
  readonly #endpoint: Endpoint
  readonly #ranges: readonly Range[]
  readonly #connections: readonly [commands: Connection, stream: Connection]
  readonly #store: Store
  readonly #registration: Registration
  readonly #changes: Changes
  readonly #closing = new AbortController()
  #addresses: () => readonly string[]
  /** By who tells it. */
  readonly #troubles = new Map<string, string>()
  #onProblems: (problems: readonly ViewProblem[]) => void = () => {}
  #onChange: ((change: ViewChange) => void) | undefined
  #lastProblems = ''
  #lastNodes: ReadonlyMap<string, ClusterNode> | undefined
  #timer: NodeJS.Timeout | undefined
  #isLooking = false
  #isSayingDue = false
  #saidAtMs = Number.NEGATIVE_INFINITY

  /** Begins to connect. @throws JoinError for settings that cannot be used */
  constructor(input: RedisSourceInput) {
    const { url, tls, nodeName, addresses, clusterCidrs, nodeMasks, log } = input
    const { formerCidrs = [], knownNodes = [], instance = thisBoot(), silentMs = OWNER_SILENT_S * 1_000 } = input
    this.#endpoint = parseEndpoint(url, tls)
    this.#ranges = rangesOf(clusterCidrs, nodeMasks)
    const connect = (what: string, onReady: () => void) =>
      new Connection(this.#endpoint, `bramble-${nodeName}`, {
        onReady,
        onTrouble: (reason) => this.#trouble(what, reason),
      })
    const commands = connect('commands', () => this.#say())
    const stream = connect('stream', () => {})
    this.#connections = [commands, stream]
    this.#store = new Store(commands, this.#ranges)
    this.#addresses = addresses
    const common = { store: this.#store, ranges: this.#ranges, nodeName }
    this.#registration = new Registration({
      ...common,
      instance,
      addresses: () => this.#addresses(),
      formerCidrs,
      silentMs,
    })
    this.#changes = new Changes({
      ...common,
      stream,
      knownNodes,
      log,
      onChange: (changed) => this.#tell(changed),
      onLost: () => {
        if (this.#changes.textOf(nodeName) !== this.#registration.text) this.#say()
      },
      onOwnNews: () => (this.#isSayingDue = true), // right after the look that found it
      onTrouble: (reason) => this.#trouble('changes', reason),
    })
  }

  get server() {
    const { name, options } = this.#endpoint
    return { name, host: options.host ?? '' }
  }

  async join(onProblems: (problems: readonly ViewProblem[]) => void): Promise<readonly Cidr[]> {
    this.#onProblems = onProblems
    onProblems(this.#problems())
    return this.#registration.join((problem) => this.#trouble('join', problem), this.#closing.signal)
  }

  announce(announcement: Announcement, addresses: readonly string[] = this.#addresses()): void {
    const before = this.#registration.text
    this.#addresses = () => addresses
    this.#registration.announce(announcement)
    if (this.#registration.text !== before) this.#say()
  }

  /** This node's addresses may be others now. */
  addressesChanged(): void {
    this.#say()
  }

  start(onChange: (change: ViewChange) => void): void {
    this.#onProblems = () => {}
    this.#onChange = onChange
    this.#tell(new Set())
    this.#changes.start()
    this.#look()
  }

  /** For `bramblectl node list`. @throws RedisError */
  async listNodes(): Promise<RegisteredNode[]> {
    return nodeRows(await this.#named(this.#store.list()), this.#ranges)
  }

  /** For `bramblectl node remove`. @returns the pod CIDRs that are free now @throws NodeRemovalError; RedisError */
  async removeNode(name: string, { isForced }: { readonly isForced: boolean }): Promise<readonly string[]> {
    const cidrs = await this.#named(removeNode(this.#store, this.#ranges, name, isForced))
    return cidrs.map(({ text }) => text)
  }

  async close(): Promise<void> {
    const isFirst = !this.#closing.signal.aborted
    this.#closing.abort()
    clearTimeout(this.#timer)
    this.#onChange = undefined
    this.#onProblems = () => {}
    if (isFirst)
      await Promise.race([
        this.#registration.leave().catch(() => {}),
        new Promise((resolve) => setTimeout(resolve, LEAVE_TIMEOUT_MS)),
      ])
    for (const connection of this.#connections) connection.close()
    await this.#changes.close()
  }

  /** The registration is said again: at once when that is possible, else as soon as it is. */
  #say(): void {
    this.#isSayingDue = true
    if (this.#onChange) this.#look()
  }

  /** Every few seconds, and whenever there is something to say; one at a time. */
  #look(): void {
    if (this.#closing.signal.aborted || this.#isLooking) return
    clearTimeout(this.#timer)
    this.#isLooking = true
    this.#lookOnce().then((isDone) => {
      this.#isLooking = false
      if (this.#closing.signal.aborted) return
      const inMs = isDone && this.#isSayingDue ? SAY_AGAIN_MS : LOOK_EVERY_MS * (0.75 + Math.random() / 4)
      this.#timer = setTimeout(() => this.#look(), inMs)
    })
  }

  /** @returns false when Redis could not be asked */
  async #lookOnce(): Promise<boolean> {
    const [{ isReady }] = this.#connections
    try {
      if (!isReady) return false
      await this.#changes.look()
      if (this.#isSayingDue || performance.now() - this.#saidAtMs >= SAY_EVERY_MS) await this.#sayNow()
      this.#trouble('look', undefined)
      return true
    } catch (error) {
      if (!(error instanceof RedisError)) throw error
      if (this.#connections[0].isReady) this.#trouble('look', error.message)
      this.#isSayingDue = true
      return false
    }
  }

  async #sayNow(): Promise<void> {
    this.#isSayingDue = false
    const isFounded = await this.#registration.hold()
    this.#saidAtMs = performance.now()
    this.#trouble('registration', this.#registration.problem)
    if (isFounded) await this.#changes.putBack() // we are the first to find everything gone
  }

  #trouble(what: string, reason: string | undefined): void {
    if (reason === this.#troubles.get(what)) return
    if (reason === undefined) this.#troubles.delete(what)
    else this.#troubles.set(what, reason)
    if (what === 'commands') this.#troubles.delete('join') // it asks again, and hears the same
    this.#onProblems(this.#problems())
    this.#tell(new Set())
  }

  #problems(): ViewProblem[] {
    // Without a connection nothing else could be asked, either; what Redis said of this node is true all the same.
    const isAway = this.#troubles.has('commands')
    const told = [...this.#troubles].filter(([what]) => !isAway || what === 'commands' || what === 'registration')
    const kept = this.#changes.nodes ? '; the last view stays in force' : ''
    const reasons = new Set(told.map(([what, reason]) => (what === 'registration' ? reason : `${reason}${kept}`)))
    return [...[...reasons].map((reason) => ({ object: this.#endpoint.name, reason })), ...this.#changes.problems]
  }

  #tell(changed: ReadonlySet<string>): void {
    if (!this.#onChange) return
    const problems = this.#problems()
    const text = JSON.stringify(problems)
    const { nodes } = this.#changes
    if (changed.size === 0 && text === this.#lastProblems && nodes === this.#lastNodes) return
    const isFirst = this.#lastNodes === undefined // any may have changed since whatever was known before
    this.#lastProblems = text
    this.#lastNodes = nodes
    this.#onChange({ view: nodes && { nodes }, problems, ...(!isFirst && { changed }) })
  }

  async #named<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer
    } catch (error) {
      throw error instanceof RedisError ? new RedisError(`${this.#endpoint.name}: ${error.message}`) : error
    }
  }
}

/** The same for every agent of this boot in this network namespace, which has one at a time. */
function thisBoot(): string {
  return `${bootId()}/${readlinkSync('/proc/self/ns/net').replace(/\D/g, '')}`
}
