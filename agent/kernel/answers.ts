import { readAttributes, readText } from './attributes.ts'
import { KernelError } from './errors.ts'
import { type NetlinkMessage, type NetlinkRequest, NLM_F_DUMP_INTR, NLM_F_REQUEST } from './message.ts'

/**
 * Which answer belongs to which request, on one netlink socket, and what it says: messages, and at the end an errno.
 * Knows no socket.
 */

// include/uapi/linux/netlink.h
const NLMSG_ERROR = 2
const NLMSG_DONE = 3
/** In an answer: the original request is left out; attributes follow. */
const NLM_F_CAPPED = 0x100
const NLM_F_ACK_TLVS = 0x200
const NLMSGERR_ATTR_MSG = 1
/** struct nlmsghdr */
const HEADER_BYTES = 16
/** struct nlmsgerr: errno and the header of the request. */
const ERROR_BYTES = 4 + HEADER_BYTES
/** The sequence number of what is no answer. */
const UNASKED = 0

/** The kernel's messages (none for most requests), or why it refused. */
export type Outcome = NetlinkMessage[] | KernelError

/** One that is awaited, or has come. */
export class Answer {
  readonly sequence: number
  /** Time that has passed since the last of its messages, in ticks of whoever waits. */
  ticks = 0
  outcome: Outcome | undefined
  readonly #request: string
  readonly #take: ((message: NetlinkMessage) => void) | undefined
  readonly #messages: NetlinkMessage[] = []
  #isInterrupted = false
  #onSettled: ((outcome: Outcome) => void) | undefined

  constructor(sequence: number, request: string, take: ((message: NetlinkMessage) => void) | undefined) {
    this.sequence = sequence
    this.#request = request
    this.#take = take
  }

  get settled(): Promise<Outcome> {
    if (this.outcome) return Promise.resolve(this.outcome)
    return new Promise((resolve) => (this.#onSettled = resolve))
  }

  /** @returns whether that was the last of it */
  receive(type: number, flags: number, body: Buffer): boolean {
    this.ticks = 0
    if (flags & NLM_F_DUMP_INTR) this.#isInterrupted = true
    if (type !== NLMSG_ERROR && type !== NLMSG_DONE) {
      if (this.#take) this.#take({ type, body })
      else this.#messages.push({ type, body })
      return false
    }
    const errno = body.length >= 4 ? -body.readInt32LE(0) : 0
    if (errno !== 0) this.settle(errno, wordsOf(body, flags))
    else this.settle(this.#isInterrupted ? 'EINTR' : undefined)
    return true
  }

  /** @param words the kernel's own about the refusal */
  settle(errno: number | string | undefined, words?: string): void {
    this.outcome = errno === undefined ? this.#messages : new KernelError(this.#request, errno, words)
    this.#onSettled?.(this.outcome)
  }
}

export class Answers {
  readonly #awaited = new Map<number, Answer>()
  #sequence = UNASKED

  get size(): number {
    return this.#awaited.size
  }

  [Symbol.iterator](): Iterator<Answer> {
    return [...this.#awaited.values()][Symbol.iterator]()
  }

  /** @param take gets the messages of the answer, instead of whoever waits for all of it */
  expect(request: string, take?: (message: NetlinkMessage) => void): Answer {
    this.#sequence = (this.#sequence % 0xffff_ffff) + 1
    const answer = new Answer(this.#sequence, request, take)
    this.#awaited.set(answer.sequence, answer)
    return answer
  }

  /** What comes for it from now on is nobody's. */
  giveUp(answer: Answer, errno: string): void {
    this.#awaited.delete(answer.sequence)
    answer.settle(errno)
  }

  /** @param datagram one or more messages, as the kernel has sent them @param unasked gets what is no answer */
  receive(datagram: Buffer, unasked?: (message: NetlinkMessage) => void): void {
    let offset = 0
    while (offset + HEADER_BYTES <= datagram.length) {
      const length = datagram.readUInt32LE(offset)
      if (length < HEADER_BYTES || offset + length > datagram.length) return // torn
      const type = datagram.readUInt16LE(offset + 4)
      const sequence = datagram.readUInt32LE(offset + 8)
      const body = datagram.subarray(offset + HEADER_BYTES, offset + length)
      // Not there: the answer to a request whose deadline has passed.
      if (sequence === UNASKED) unasked?.({ type, body })
      else if (this.#awaited.get(sequence)?.receive(type, datagram.readUInt16LE(offset + 6), body))
        this.#awaited.delete(sequence)
      offset += aligned(length)
    }
  }
}

/** Of each the number by which its answer is known, and NLM_F_* beyond those of its own and REQUEST. */
export interface NumberedRequest {
  readonly request: NetlinkRequest
  readonly sequence: number
  readonly flags: number
}

/** The requests as messages, one behind the other. */
export function encodeRequests(requests: readonly NumberedRequest[]): Buffer {
  const bytes = requests.reduce((sum, { request }) => sum + aligned(HEADER_BYTES + request.body.length), 0)
  const messages = Buffer.alloc(bytes)
  let offset = 0
  for (const { request, sequence, flags } of requests) {
    const length = HEADER_BYTES + request.body.length
    messages.writeUInt32LE(length, offset)
    messages.writeUInt16LE(request.type, offset + 4)
    messages.writeUInt16LE(NLM_F_REQUEST | flags | (request.flags ?? 0), offset + 6)
    messages.writeUInt32LE(sequence, offset + 8)
    messages.set(request.body, offset + HEADER_BYTES)
    offset += aligned(length)
  }
  return messages
}

/** NLMSG_ALIGN of include/uapi/linux/netlink.h */
function aligned(bytes: number): number {
  return (bytes + 3) & ~3
}

/** What the kernel says about a refusal (extended acknowledgement), where it says anything. */
function wordsOf(error: Buffer, flags: number): string | undefined {
  if (!(flags & NLM_F_ACK_TLVS) || !(flags & NLM_F_CAPPED)) return undefined
  return readText(readAttributes(error.subarray(ERROR_BYTES)).get(NLMSGERR_ATTR_MSG))
}
