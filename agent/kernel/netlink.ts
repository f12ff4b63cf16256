import { HEADER_LENGTH, parseMessages } from 'netlink/dist/structs.js'
import { readAttributes, readText } from './attributes.ts'
import { KernelError } from './errors.ts'
import {
  type NetlinkMessage,
  type NetlinkRequest,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
} from './message.ts'
import { NetlinkSocket } from './netlink-socket.ts'

/**
 * Requests over one netlink socket. What the `netlink` package leaves open is settled here: every request has a
 * deadline, many requests go out in one system call, dumps wait for each other and are repeated when the kernel says
 * that they were interrupted, and errno becomes KernelError.
 */

// include/uapi/linux/netlink.h
const NLMSG_ERROR = 2
const NLMSG_DONE = 3
/** In an answer: the original request is left out; attributes follow. */
const NLM_F_CAPPED = 0x100
const NLM_F_ACK_TLVS = 0x200
const NLMSGERR_ATTR_MSG = 1
/** struct nlmsgerr: errno and the header of the request. */
const ERROR_BYTES = 4 + HEADER_LENGTH

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

/** The sequence number of what is no answer. */
const UNASKED = 0

/** A request has five seconds. */
const TICK_MS = 1_000
const DEADLINE_TICKS = 5
/** A dump is interrupted when the table changes under it; under churn that happens dozens of times in a row. */
const DUMP_TRIES_MAX = 200
/** So many requests go out in one system call: their answers must find room in the receive buffer, 208 KiB by default. */
const REQUESTS_AT_ONCE = 100
/** Room for a burst of events while the event loop is busy. */
const EVENT_BUFFER_BYTES = 1024 * 1024

interface Pending {
  readonly messages: NetlinkMessage[]
  take(message: NetlinkMessage): void
  interrupted: boolean
  /** How often the clock below has ticked since it was sent, or since the last part of its answer. */
  ticks: number
  /** @param words the kernel's own about the refusal */
  settle(errno: number | string | undefined, words?: string): void
}

/** What a subsystem sends to the socket that has asked for it once, and then whenever there is something. */
export interface Unasked {
  onMessage(message: NetlinkMessage): void
  /** What does not find room is lost. */
  readonly bufferBytes: number
}

export class Netlink {
  readonly #socket: NetlinkSocket
  readonly #unasked: Unasked | undefined
  readonly #pending = new Map<number, Pending>()
  #sequence = 0
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

  /**
   * Sends the requests, up to a hundred in one system call; the kernel carries them out in order, and goes on after a
   * refusal.
   * @returns the kernel's messages, per request (none for most)
   * @throws KernelError of the first refusal, when all are answered
   */
  async send(requests: readonly NetlinkRequest[]): Promise<NetlinkMessage[][]> {
    const outcomes = await this.trySend(requests)
    return outcomes.map((outcome) => {
      if (outcome instanceof KernelError) throw outcome
      return outcome
    })
  }

  /** Like send, but tells each request's outcome. */
  async trySend(requests: readonly NetlinkRequest[]): Promise<(NetlinkMessage[] | KernelError)[]> {
    const outcomes: (NetlinkMessage[] | KernelError)[] = []
    for (let start = 0; start < requests.length; start += REQUESTS_AT_ONCE) {
      const batch = requests.slice(start, start + REQUESTS_AT_ONCE).map((request) => {
        const { sequence, answer } = this.#expect(request.name)
        const flags = NLM_F_REQUEST | NLM_F_ACK | (request.flags ?? 0)
        return { message: encode(request, flags, sequence), answer }
      })
      this.#transmit(batch.map(({ message }) => message))
      outcomes.push(...(await Promise.all(batch.map(({ answer }) => answer))))
    }
    return outcomes
  }

  /**
   * Sends requests between two others that are not answered: together they are a transaction of nfnetlink, in one system
   * call. Of a few requests: their answers must find room in the receive buffer.
   * @returns each request's outcome; where one was refused, none was carried out
   */
  async transact(
    begin: NetlinkRequest,
    requests: readonly NetlinkRequest[],
    end: NetlinkRequest,
  ): Promise<(NetlinkMessage[] | KernelError)[]> {
    const expected = requests.map((request) => ({ request, ...this.#expect(request.name) }))
    // What is wrong with all of it the kernel says to the beginning, which has the number of the first.
    const [{ sequence: first } = { sequence: UNASKED }] = expected
    this.#transmit([
      encode(begin, NLM_F_REQUEST, first),
      ...expected.map(({ request, sequence }) =>
        encode(request, NLM_F_REQUEST | NLM_F_ACK | (request.flags ?? 0), sequence),
      ),
      encode(end, NLM_F_REQUEST, first),
    ])
    return Promise.all(expected.map(({ answer }) => answer))
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
      const { sequence, answer } = this.#expect(request.name, take)
      this.#transmit([encode(request, NLM_F_REQUEST | NLM_F_DUMP, sequence)])
      const outcome = await answer
      if (outcome instanceof KernelError) throw outcome
    })
    this.#lastDump = result.catch(() => {})
    return result
  }

  async #dump(request: NetlinkRequest): Promise<NetlinkMessage[]> {
    for (let attempt = 0; attempt < DUMP_TRIES_MAX; attempt++) {
      const { sequence, answer } = this.#expect(request.name)
      this.#transmit([encode(request, NLM_F_REQUEST | NLM_F_DUMP, sequence)])
      const outcome = await answer
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

  /** @param take gets the messages of the answer, instead of whoever waits for all of it */
  #expect(
    name: string,
    take?: (message: NetlinkMessage) => void,
  ): { sequence: number; answer: Promise<NetlinkMessage[] | KernelError> } {
    this.#sequence = (this.#sequence % 0xffff_ffff) + 1
    const sequence = this.#sequence
    const answer = new Promise<NetlinkMessage[] | KernelError>((resolve) => {
      const messages: NetlinkMessage[] = []
      const pending: Pending = {
        messages,
        take: take ?? ((message) => messages.push(message)),
        interrupted: false,
        ticks: 0,
        settle: (errno, words) => {
          this.#pending.delete(sequence)
          if (this.#pending.size === 0 && this.#open) this.#socket.raw.unref()
          resolve(errno === undefined ? pending.messages : new KernelError(name, errno, words))
        },
      }
      if (this.#pending.size === 0) this.#watch()
      this.#pending.set(sequence, pending)
    })
    return { sequence, answer }
  }

  /** While answers are awaited, the process lives, and what is overdue is given up. */
  #watch(): void {
    if (!this.#open) return
    this.#socket.raw.ref()
    // Ticks and not time: while the process stood still (paged out, frozen) the answers came, and wait to be read.
    this.#overdue ??= setInterval(() => {
      for (const pending of [...this.#pending.values()])
        if (++pending.ticks > DEADLINE_TICKS) pending.settle('ETIMEDOUT')
      if (this.#pending.size === 0) this.#stopWatch()
    }, TICK_MS).unref()
  }

  #stopWatch(): void {
    clearInterval(this.#overdue)
    this.#overdue = undefined
  }

  #transmit(messages: Buffer[]): void {
    const sequences = messages.map((message) => message.readUInt32LE(8))
    if (!this.#open) {
      for (const sequence of sequences) this.#pending.get(sequence)?.settle('EBADF')
      return
    }
    this.#socket.raw.send(Buffer.concat(messages), {}, (error) => {
      if (!error) return
      const errno = (error as NodeJS.ErrnoException).code ?? 'EIO'
      for (const sequence of sequences) this.#pending.get(sequence)?.settle(errno)
    })
  }

  #receive(bytes: Buffer): void {
    for (const { type, flags, seq, data } of parseMessages(bytes)) {
      if (seq === UNASKED) this.#unasked?.onMessage({ type, body: data as Buffer })
      const pending = this.#pending.get(seq)
      if (!pending) continue // or the answer to a request whose deadline has passed
      if (flags & NLM_F_DUMP_INTR) pending.interrupted = true
      if (type === NLMSG_ERROR || type === NLMSG_DONE) {
        const errno = data.length >= 4 ? -(data as Buffer).readInt32LE(0) : 0
        if (errno !== 0) pending.settle(errno, wordsOf(data as Buffer, flags))
        else pending.settle(pending.interrupted ? 'EINTR' : undefined)
      } else {
        pending.ticks = 0
        pending.take({ type, body: data as Buffer })
      }
    }
  }

  #settleAll(errno: string): void {
    for (const pending of [...this.#pending.values()]) pending.settle(errno)
  }
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
    this.#socket.onMessage((bytes) => this.#receive(bytes))
    this.#socket.raw.on('error', () => this.#reportGap())
    for (const group of groups) this.#socket.raw.addMembership(group)
  }

  close(): void {
    this.#isClosed = true
    clearImmediate(this.#looking)
    this.#socket.close()
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

/** What the kernel says about a refusal (extended acknowledgement), where it says anything. */
function wordsOf(error: Buffer, flags: number): string | undefined {
  if (!(flags & NLM_F_ACK_TLVS) || !(flags & NLM_F_CAPPED)) return undefined
  return readText(readAttributes(error.subarray(ERROR_BYTES)).get(NLMSGERR_ATTR_MSG))
}

function encode(request: NetlinkRequest, flags: number, sequence: number): Buffer {
  const bytes = HEADER_LENGTH + request.body.length
  const message = Buffer.alloc((bytes + 3) & ~3)
  message.writeUInt32LE(bytes, 0)
  message.writeUInt16LE(request.type, 4)
  message.writeUInt16LE(flags, 6)
  message.writeUInt32LE(sequence, 8)
  message.set(request.body, HEADER_LENGTH)
  return message
}
