import { setImmediate as turn } from 'node:timers/promises'
import { parseMessages } from 'netlink/dist/structs.js'
import { type Answer, Answers, encodeRequests, type NumberedRequest, type Outcome } from './answers.ts'
import { KernelError } from './errors.ts'
import { receiveNow, receiveUntil, sendNow, takeEach } from './exchange.ts'
import { errnoName, SystemError } from './libc.ts'
import { type NetlinkMessage, type NetlinkRequest, NLM_F_ACK, NLM_F_DUMP } from './message.ts'
import { NetlinkSocket } from './netlink-socket.ts'

/**
 * Requests over one netlink socket. What the `netlink` package leaves open is settled here: every request has a
 * deadline, many requests go out in one system call, dumps wait for each other and are repeated when the kernel says
 * that they were interrupted, and errno becomes KernelError.
 */

/** include/uapi/linux/rtnetlink.h, enum rtnetlink_groups */
export const RTNLGRP = {
  link: 1,
  neighbour: 3,
  ipv4Address: 5,
  ipv4Route: 7,
  ipv4Rule: 8,
  ipv6Address: 9,
  ipv6Route: 11,
  ipv6Rule: 19,
} as const

/** A request has five seconds. */
const TICK_MS = 1_000
const DEADLINE_TICKS = 5
/** A dump is interrupted when the table changes under it; under churn that happens dozens of times in a row. */
const DUMP_TRIES_MAX = 200
/** So many requests go out in one system call: their answers must find room in the receive buffer, 208 KiB by default. */
const REQUESTS_AT_ONCE = 100
/** Room for a burst of events while the event loop is busy. */
const EVENT_BUFFER_BYTES = 1024 * 1024

/** What a subsystem sends to the socket that has asked for it once, and then whenever there is something. */
export interface Unasked {
  onMessage(message: NetlinkMessage): void
  /** What does not find room is lost. */
  readonly bufferBytes: number
}

/** Requests, whichever socket carries them. */
export interface NetlinkRequests {
  /**
   * Sends the requests, up to a hundred in one system call; the kernel carries them out in order, and goes on after a
   * refusal.
   * @returns the kernel's messages, per request (none for most)
   * @throws KernelError of the first refusal, when all are answered
   */
  send(requests: readonly NetlinkRequest[]): Promise<NetlinkMessage[][]>
  /** Like send, but tells each request's outcome. */
  trySend(requests: readonly NetlinkRequest[]): Promise<Outcome[]>
}

export class Netlink implements NetlinkRequests {
  readonly #socket: NetlinkSocket
  readonly #unasked: Unasked | undefined
  readonly #answers = new Answers()
  #lastDump: Promise<unknown> = Promise.resolve()
  #overdue: NodeJS.Timeout | undefined
  #open = true
  #port = 0

  /**
   * The socket belongs to the network namespace that the thread is in at this moment, and stays there.
   * @param protocol one of NETLINK_PROTOCOL
   */
  constructor(protocol?: number, unasked?: Unasked) {
    this.#socket = new NetlinkSocket(protocol)
    this.#unasked = unasked
    if (unasked) this.#socket.raw.setRecvBufferSize(unasked.bufferBytes)
    this.#socket.onMessage((bytes) => this.#receive(bytes))
    this.#socket.raw.on('error', (error) => this.#settleAll((error as NodeJS.ErrnoException).code ?? 'EIO'))
  }

  /** By which the kernel tells, in events, that a change was ours. */
  get port(): number {
    this.#port ||= this.#socket.raw.address().port // asked at each event; 0 before the first request
    return this.#port
  }

  async send(requests: readonly NetlinkRequest[]): Promise<NetlinkMessage[][]> {
    return (await this.trySend(requests)).map(accepted)
  }

  async trySend(requests: readonly NetlinkRequest[]): Promise<Outcome[]> {
    if (requests.length <= REQUESTS_AT_ONCE) return this.#ask(requests)
    const outcomes: Outcome[] = []
    for (let start = 0; start < requests.length; start += REQUESTS_AT_ONCE) {
      if (start > 0) await turn() // a thousand routes are made in one go otherwise, and everybody waits
      outcomes.push(...(await this.#ask(requests.slice(start, start + REQUESTS_AT_ONCE))))
    }
    return outcomes
  }

  /**
   * Sends requests between two others that are not answered: together they are a transaction of nfnetlink, in one system
   * call. Of a few requests: their answers must find room in the receive buffer.
   * @returns each request's outcome; where one was refused, none was carried out
   */
  transact(begin: NetlinkRequest, requests: readonly NetlinkRequest[], end: NetlinkRequest): Promise<Outcome[]> {
    return this.#ask(requests, { begin, end })
  }

  /**
   * Lists a table. One dump at a time, as the kernel demands of a socket (EBUSY otherwise).
   * @throws KernelError; EINTR when the table changed under every try
   */
  dump(request: NetlinkRequest): Promise<NetlinkMessage[]> {
    const result = this.#lastDump.then(() => this.#dump(request))
    this.#lastDump = result.catch(() => {})
    return result
  }

  /**
   * Lists a table that is too large to be held: each message is handed over as it comes, and none is kept.
   * @throws KernelError; EINTR when the table changed so that the kernel cannot tell whether all of it was listed
   */
  stream(request: NetlinkRequest, take: (message: NetlinkMessage) => void): Promise<void> {
    const result = this.#lastDump.then(async () => {
      accepted(await this.#list(request, take))
    })
    this.#lastDump = result.catch(() => {})
    return result
  }

  async #dump(request: NetlinkRequest): Promise<NetlinkMessage[]> {
    for (let attempt = 0; attempt < DUMP_TRIES_MAX; attempt++) {
      const outcome = await this.#list(request)
      if (!(outcome instanceof KernelError)) return outcome
      if (outcome.errno !== 'EINTR') throw outcome
    }
    throw new KernelError(request.name, 'EINTR')
  }

  /** From now on the kernel hands over only what the filter lets through, of answers too. @param filter from netlink-filter.ts */
  accept(filter: Buffer): void {
    this.#socket.accept(filter)
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    this.#settleAll('ECANCELED')
    this.#stopWatch()
    this.#socket.close()
  }

  /** The answers have come when it returns, as a rule: see exchange.ts. */
  async #ask(
    requests: readonly NetlinkRequest[],
    batch?: { readonly begin: NetlinkRequest; readonly end: NetlinkRequest },
  ): Promise<Outcome[]> {
    const answers: Answer[] = []
    const numbered = requests.map((request): NumberedRequest => {
      const answer = this.#answers.expect(request.name)
      answers.push(answer)
      return { request, sequence: answer.sequence, flags: NLM_F_ACK }
    })
    // What is wrong with all of it the kernel says to the beginning, which has the number of the first.
    const sequence = answers[0]?.sequence ?? 0
    if (batch) numbered.unshift({ request: batch.begin, sequence, flags: 0 })
    if (batch) numbered.push({ request: batch.end, sequence, flags: 0 })
    const isDone = () => answers.every(({ outcome }) => outcome !== undefined)
    try {
      if (this.#transmit(numbered, answers))
        receiveUntil(this.#socket.fd, isDone, (datagram) => this.#receive(datagram))
    } finally {
      if (!isDone()) this.#watch()
    }
    return Promise.all(answers.map((answer) => answer.outcome ?? answer.settled))
  }

  /** A listing may be long: it comes by way of the event loop, part by part. */
  #list(request: NetlinkRequest, take?: (message: NetlinkMessage) => void): Promise<Outcome> {
    const answer = this.#answers.expect(request.name, take)
    this.#transmit([{ request, sequence: answer.sequence, flags: NLM_F_DUMP }], [answer])
    this.#watch()
    return answer.settled
  }

  /** While answers are awaited, the process lives, and what is overdue is given up. */
  #watch(): void {
    if (!this.#open || this.#answers.size === 0) return
    this.#socket.raw.ref()
    // Ticks and not time: while the process stood still (paged out, frozen) the answers came, and wait to be read.
    this.#overdue ??= setInterval(() => {
      for (const answer of this.#answers) if (++answer.ticks > DEADLINE_TICKS) this.#answers.giveUp(answer, 'ETIMEDOUT')
      if (this.#answers.size === 0) this.#stopWatch()
    }, TICK_MS).unref()
  }

  #stopWatch(): void {
    clearInterval(this.#overdue)
    this.#overdue = undefined
    if (this.#open) this.#socket.raw.unref()
  }

  /** @returns whether they are sent; their answers say why not */
  #transmit(requests: readonly NumberedRequest[], answers: readonly Answer[]): boolean {
    let errno = 'EBADF'
    if (this.#open)
      try {
        sendNow(this.#socket.fd, encodeRequests(requests))
        return true
      } catch (error) {
        errno = error instanceof SystemError ? errnoName(error.errno) : 'EIO'
      }
    for (const answer of answers) this.#answers.giveUp(answer, errno)
    return false
  }

  #receive(datagram: Buffer): void {
    this.#answers.receive(datagram, (message) => this.#unasked?.onMessage(message))
    if (this.#answers.size === 0 && this.#overdue) this.#stopWatch()
  }

  #settleAll(errno: string): void {
    for (const answer of this.#answers) this.#answers.giveUp(answer, errno)
  }
}

/** @throws KernelError */
function accepted(outcome: Outcome): NetlinkMessage[] {
  if (outcome instanceof KernelError) throw outcome
  return outcome
}

export interface EventListener {
  /**
   * Every message, in order.
   * @param causer the port of the netlink socket whose request made the change; 0 where the kernel made it by itself
   */
  onMessage(message: NetlinkMessage, causer: number): void
  /** Messages were lost: list again, and trust nothing that was derived from events. */
  onGap(): void
}

export interface EventOptions {
  /** One of NETLINK_PROTOCOL; NETLINK_ROUTE where it is not given. */
  readonly protocol?: number
  /** What it does not let through is of no interest, and does not fill the buffer: see netlink-filter.ts. */
  readonly filter?: Buffer
}

/** Messages that the kernel sends unasked to the members of multicast groups (RTNLGRP_*). */
export class NetlinkEvents {
  readonly #socket: NetlinkSocket
  readonly #listeners: readonly EventListener[]
  #drops = 0
  #looking: NodeJS.Immediate | undefined
  #isClosed = false

  constructor(groups: readonly number[], listeners: readonly EventListener[], options: EventOptions = {}) {
    this.#listeners = listeners
    this.#socket = new NetlinkSocket(options.protocol)
    if (options.filter) this.#socket.accept(options.filter)
    this.#socket.raw.setRecvBufferSize(EVENT_BUFFER_BYTES)
    this.#socket.onMessage((bytes) => this.#receiveSome(bytes))
    this.#socket.raw.on('error', () => this.#reportGap())
    for (const group of groups) this.#socket.raw.addMembership(group)
  }

  /** From now on the kernel hands over only what the filter lets through. @param filter from netlink-filter.ts */
  accept(filter: Buffer): void {
    this.#socket.accept(filter)
  }

  close(): void {
    this.#isClosed = true
    clearImmediate(this.#looking)
    this.#socket.close()
  }

  /** With one come those behind it: see exchange.ts. Not all, for they may come as fast as they go, and others wait. */
  #receiveSome(first: Buffer): void {
    const { datagrams, truncated } = receiveNow(this.#socket.fd)
    const failures = takeEach([first, ...datagrams], (bytes) => this.#receive(bytes))
    if (truncated > 0 && !this.#isClosed) this.#reportGap() // it is lost, like one that found no room
    if (failures.length > 0) throw failures[0]
  }

  #receive(bytes: Buffer): void {
    if (this.#isClosed) return // it had come already, and its socket is gone
    for (const { type, port, data } of parseMessages(bytes))
      for (const listener of this.#listeners) listener.onMessage({ type, body: data as Buffer }, port)
    if (!this.#isClosed) this.#looking ??= setImmediate(() => this.#lookForGap())
  }

  /** A buffer that overflowed was full of messages that came through: so after messages is when to look. */
  #lookForGap(): void {
    this.#looking = undefined
    const drops = this.#socket.drops()
    if (drops === this.#drops) return
    this.#drops = drops
    this.#reportGap()
  }

  #reportGap(): void {
    for (const listener of this.#listeners) listener.onGap()
  }
}
