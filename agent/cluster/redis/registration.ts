import { setTimeout as delay } from 'node:timers/promises'
import { type Cidr, familyOf, formatAddress, parseAddress } from '../../../ipam/address.ts'
import { formatNodeObject } from '../node-object.ts'
import { type Announcement, type ClusterNode, JoinError } from '../view.ts'
import { RedisError } from './connection.ts'
import { cidrsOfLease, indicesOf, type Range } from './ranges.ts'
import { OWNER_SILENT_S } from './scripts.ts'
import type { RegisterAnswer, RegisterInput, Store } from './store.ts'

const ASK_AGAIN_MS = { away: 300, there: 1_000 } as const

export interface RegistrationInput {
  readonly store: Store
  readonly ranges: readonly Range[]
  readonly nodeName: string
  /** Which boot of which machine this is. */
  readonly instance: string
  readonly addresses: () => readonly string[]
  /** What this node had when its agent ran last: taken again where Redis has forgotten it and nobody else has it. */
  readonly formerCidrs: readonly Cidr[]
  /** For how long another of this name has to be silent, by our clock, whatever the clock of Redis says. */
  readonly silentMs: number
}

/** This node in Redis: it gets its pod CIDRs once, and is put back whenever it may have been lost. */
export class Registration {
  readonly #input: RegistrationInput
  #announcement: Announcement | undefined
  #cidrs: readonly Cidr[] | undefined
  #problem: string | undefined
  #otherSeen = ''
  #otherSinceMs = 0

  constructor(input: RegistrationInput) {
    this.#input = input
  }

  /** undefined until it has joined. */
  get node(): ClusterNode | undefined {
    if (!this.#cidrs) return undefined
    const { nodeName: name } = this.#input
    const announcement = this.#announcement
    return { name, podCidrs: this.#cidrs, addresses: this.#addresses(), ...(announcement && { announcement }) }
  }

  /** As Redis has it when all is well. */
  get text(): string | undefined {
    return this.node && JSON.stringify(formatNodeObject(this.node))
  }

  /** What is wrong with it, as far as Redis was asked. */
  get problem(): string | undefined {
    return this.#problem
  }

  announce(announcement: Announcement): void {
    this.#announcement = announcement
  }

  /**
   * Waits while Redis is away, and for another of the same name to turn out dead.
   * @throws JoinError when waiting would not help
   */
  async join(onProblem: (problem: string | undefined) => void, signal: AbortSignal): Promise<readonly Cidr[]> {
    const { ranges, formerCidrs, nodeName } = this.#input
    let otherSeen: string | undefined
    let againMs: number
    for (;;) {
      againMs = ASK_AGAIN_MS.there
      try {
        const answer = await this.#register('join', '', formerCidrs)
        if (answer.is === 'ok') {
          this.#cidrs = cidrsOfLease(ranges, answer.lease)
          await this.hold()
          onProblem(this.#problem)
          return this.#cidrs
        }
        if (answer.is !== 'other') throw new JoinError(this.#refusal(answer))
        otherSeen ??= answer.seen
        if (answer.seen !== otherSeen)
          throw new JoinError(
            `there is another Node ${nodeName}, at ${answer.addresses}, whose agent is alive, and this one is at ${this.#addresses()}; give each node a name of its own (--node-name)`,
          )
        onProblem(`${this.#refusal(answer)}; waiting for ${OWNER_SILENT_S} s of its silence`)
      } catch (error) {
        if (!(error instanceof RedisError)) throw error
        onProblem(error.message)
        againMs = ASK_AGAIN_MS.away
      }
      await delay(againMs, undefined, { signal })
    }
  }

  /** Says that this node is there, and with it all that may have been lost. @returns whether there was no cluster before */
  async hold(): Promise<boolean> {
    if (!this.#cidrs) return false
    const answer = await this.#register('hold', this.text ?? '', this.#cidrs)
    this.#problem = answer.is === 'ok' ? undefined : this.#refusal(answer)
    return answer.is === 'ok' && answer.founded
  }

  /** Whoever comes with this name from elsewhere need not wait. */
  async leave(): Promise<void> {
    if (this.#cidrs) await this.#input.store.leave(this.#input.nodeName, this.#input.instance)
  }

  async #register(mode: RegisterInput['mode'], node: string, cidrs: readonly Cidr[]): Promise<RegisterAnswer> {
    const { store, ranges, nodeName: name, instance, silentMs } = this.#input
    const isPatient = this.#otherSeen !== '' && performance.now() - this.#otherSinceMs > silentMs
    const [addresses, wanted] = [this.#addresses(), indicesOf(ranges, cidrs)]
    const answer = await store.register({ name, instance, addresses, mode, isPatient, node, wanted })
    const seen = answer.is === 'other' ? answer.seen : ''
    if (seen !== this.#otherSeen) {
      this.#otherSeen = seen
      this.#otherSinceMs = performance.now()
    }
    return answer
  }

  /** One spelling, in one order: they are compared as text. */
  #addresses(): string[] {
    return this.#input.addresses().map((text) => formatAddress(familyOf(text), parseAddress(text)))
  }

  #refusal(answer: RegisterAnswer): string {
    const { ranges, nodeName } = this.#input
    const show = (lease: string) =>
      cidrsOfLease(ranges, lease)
        .map(({ text }) => text)
        .join(', ') || 'nothing'
    switch (answer.is) {
      case 'cluster':
        return `the cluster in Redis has the pod CIDRs ${answer.theirs.join(' and ')}, and this node was started with ${ranges.map(({ text }) => text).join(' and ')}; start it with the cluster's --cluster-cidr and --node-mask (docs/redis.md: changing them)`
      case 'other':
        return `another Node ${nodeName}, at ${answer.addresses || 'no address'}, was there less than ${OWNER_SILENT_S} s ago, and this one is at ${this.#addresses().join(', ')}; give each node a name of its own (--node-name)`
      case 'moved':
        return `Redis has ${show(answer.lease)} for this node, whose pods have ${this.#cidrs?.map(({ text }) => text).join(', ')}; if that is right, drain this node, restart bramble-agent when they are gone, and it takes what Redis has; if not, put bramble:leases and bramble:cidrs right (docs/redis.md: leases that are wrong)`
      case 'taken':
        return `Node ${answer.holder} has got ${show(answer.lease)} in Redis, which this node's pods have; drain one of the two, remove it with bramblectl node remove, and start it again`
      case 'full': {
        const range = ranges.find(({ family }) => String(family) === answer.family)
        return `all ${range?.capacity} pod CIDRs of ${range?.text} are held, by ${answer.nodes} nodes; remove those that are gone for good: bramblectl node list, bramblectl node remove NAME`
      }
      default:
        return `Redis answers "${answer.is}"`
    }
  }
}
