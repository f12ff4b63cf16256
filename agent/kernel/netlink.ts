import { RawNetlinkSocket } from 'netlink/dist/raw.js'
import { HEADER_LENGTH, parseMessages } from 'netlink/dist/structs.js'
import { KernelError } from './errors.ts'
import {
  type NetlinkMessage,
  type NetlinkRequest,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
} from './message.ts'

/**
 * Requests over one netlink socket. What the `netlink` package leaves open is settled here: every request has a
 * deadline, many requests go out in one system call, dumps wait for each other and are repeated when the kernel says
 * that they were interrupted, and errno becomes KernelError.
 */

// include/uapi/linux/netlink.h
const NLMSG_ERROR = 2
const NLMSG_DONE = 3
const NETLINK_ROUTE = 0

/** include/uapi/linux/rtnetlink.h, enum rtnetlink_groups */
export const RTNLGRP = { link: 1, ipv4Route: 7, ipv6Route: 11 } as const

const REQUEST_DEADLINE_MS = 5_000
/** A dump is interrupted when the table changes under it; under churn that may happen a few times in a row. */
const DUMP_TRIES = 20
/** The table changed under the dump, or the answer found no room: ask again. */
const TRANSIENT_FOR_DUMPS = ['EINTR', 'ENOBUFS']
/** One system call carries at most so many bytes of requests; the socket's send buffer holds 208 KiB by default. */
const SEND_BYTES_MAX = 64 * 1024
/** Room for a burst of events while the event loop is busy. */
const EVENT_BUFFER_BYTES = 1024 * 1024

interface Pending {
  readonly messages: NetlinkMessage[]
  interrupted: boolean
  readonly expiresAtMs: number
  settle(errno: number | string | undefined): void
}

export class Netlink {
  readonly #socket: RawNetlinkSocket
  readonly #pending = new Map<number, Pending>()
  #sequence = 0
  #lastDump: Promise<unknown> = Promise.resolve()
  #overdue: NodeJS.Timeout | undefined
  #open = true

  /** The socket belongs to the network namespace that the thread is in at this moment, and stays there. */
  constructor() {
    this.#socket = new RawNetlinkSocket(NETLINK_ROUTE)
    this.#socket.on('message', (bytes) => this.#receive(bytes))
    // ENOBUFS and the like: answers may be lost, so nothing that is under way can be trusted to end.
    this.#socket.on('error', (error) => this.#settleAll((error as NodeJS.ErrnoException).code ?? 'EIO'))
    this.#socket.unref()
  }

  /**
   * Sends all requests at once; the kernel carries them out in order, and goes on after a refusal.
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
    const expected = requests.map((request) => this.#expect(request.name))
    let batch: Buffer[] = []
    let batchBytes = 0
    requests.forEach((request, index) => {
      const sequence = expected[index]?.sequence ?? 0
      const message = encode(request, NLM_F_REQUEST | NLM_F_ACK | (request.flags ?? 0), sequence)
      if (batchBytes + message.length > SEND_BYTES_MAX && batchBytes > 0) {
        this.#transmit(batch)
        batch = []
        batchBytes = 0
      }
      batch.push(message)
      batchBytes += message.length
    })
    if (batchBytes > 0) this.#transmit(batch)
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

  async #dump(request: NetlinkRequest): Promise<NetlinkMessage[]> {
    let refusal: KernelError | undefined
    for (let attempt = 0; attempt < DUMP_TRIES; attempt++) {
      const { sequence, answer } = this.#expect(request.name)
      this.#transmit([encode(request, NLM_F_REQUEST | NLM_F_DUMP, sequence)])
      const outcome = await answer
      if (!(outcome instanceof KernelError)) return outcome
      if (!TRANSIENT_FOR_DUMPS.includes(outcome.errno)) throw outcome
      refusal = outcome
    }
    throw refusal ?? new KernelError(request.name, 'EINTR')
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    this.#settleAll('ECANCELED')
    this.#socket.close()
  }

  #expect(name: string): { sequence: number; answer: Promise<NetlinkMessage[] | KernelError> } {
    this.#sequence = (this.#sequence % 0xffff_ffff) + 1
    const sequence = this.#sequence
    const answer = new Promise<NetlinkMessage[] | KernelError>((resolve) => {
      const pending: Pending = {
        messages: [],
        interrupted: false,
        expiresAtMs: performance.now() + REQUEST_DEADLINE_MS,
        settle: (errno) => {
          this.#pending.delete(sequence)
          if (this.#pending.size === 0) this.#rest()
          resolve(errno === undefined ? pending.messages : new KernelError(name, errno))
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
    this.#socket.ref()
    this.#overdue = setInterval(() => {
      const nowMs = performance.now()
      for (const pending of [...this.#pending.values()]) if (pending.expiresAtMs < nowMs) pending.settle('ETIMEDOUT')
    }, REQUEST_DEADLINE_MS / 5)
  }

  #rest(): void {
    clearInterval(this.#overdue)
    if (this.#open) this.#socket.unref()
  }

  #transmit(messages: Buffer[]): void {
    const sequences = messages.map((message) => message.readUInt32LE(8))
    if (!this.#open) {
      for (const sequence of sequences) this.#pending.get(sequence)?.settle('EBADF')
      return
    }
    this.#socket.send(Buffer.concat(messages), {}, (error) => {
      if (!error) return
      const errno = (error as NodeJS.ErrnoException).code ?? 'EIO'
      for (const sequence of sequences) this.#pending.get(sequence)?.settle(errno)
    })
  }

  #receive(bytes: Buffer): void {
    for (const { type, flags, seq, data } of parseMessages(bytes)) {
      const pending = this.#pending.get(seq)
      if (!pending) continue // the answer to a request whose deadline has passed
      if (flags & NLM_F_DUMP_INTR) pending.interrupted = true
      if (type === NLMSG_ERROR || type === NLMSG_DONE) {
        const errno = data.length >= 4 ? -(data as Buffer).readInt32LE(0) : 0
        if (errno !== 0) pending.settle(errno)
        else pending.settle(pending.interrupted ? 'EINTR' : undefined)
      } else {
        pending.messages.push({ type, body: data as Buffer })
      }
    }
  }

  #settleAll(errno: string): void {
    for (const pending of [...this.#pending.values()]) pending.settle(errno)
  }
}

export interface EventListener {
  /** Every message, in order. */
  onMessage(message: NetlinkMessage): void
  /** Messages were lost (ENOBUFS): list again, and trust nothing that was derived from events. */
  onGap(): void
}

/** Messages that the kernel sends unasked to the members of multicast groups (RTNLGRP_*). */
export class NetlinkEvents {
  readonly #socket: RawNetlinkSocket

  constructor(groups: readonly number[], listeners: readonly EventListener[]) {
    this.#socket = new RawNetlinkSocket(NETLINK_ROUTE)
    this.#socket.setRecvBufferSize(EVENT_BUFFER_BYTES)
    this.#socket.on('message', (bytes) => {
      for (const { type, data } of parseMessages(bytes))
        for (const listener of listeners) listener.onMessage({ type, body: data as Buffer })
    })
    this.#socket.on('error', () => {
      for (const listener of listeners) listener.onGap()
    })
    for (const group of groups) this.#socket.addMembership(group)
    this.#socket.unref()
  }

  close(): void {
    this.#socket.close()
  }
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
