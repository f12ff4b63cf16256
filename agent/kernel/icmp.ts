import { closeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import koffi from 'koffi'
import { type Family, familyOf } from '../../ipam/address.ts'
import { type EchoNumbers, echoRequest, readEchoReply, readQuotedRequest, withoutIpv4Header } from './echo-message.ts'
import { EchoError, errnoOf, openEchoSocket, unlessError } from './icmp-socket.ts'
import { bind, errnoName } from './libc.ts'
import { getSocketOption, SOL_SOCKET } from './socket-options.ts'

// include/linux/socket.h, include/uapi/asm-generic/socket.h, poll.h
const SO_ERROR = 4
const MSG_ERRQUEUE = 0x2000
const POLLIN = 1
const POLLERR = 8

/** IP header with options, and what an echo begins with. */
const HEADERS_BYTES = 68
/** struct cmsghdr (64 bit), sock_extended_err, and the address of who complains. */
const CONTROL_BYTES = 96
const POLL_EVERY_MS = 4
/** The queue of a flooded socket does not hold up the agent. */
const MESSAGES_PER_LOOK = 64

koffi.struct('icmp_iovec', { base: 'void *', bytes: 'size_t' })
koffi.struct('icmp_msghdr', {
  name: 'void *',
  nameBytes: 'uint32_t',
  parts: 'icmp_iovec *',
  partCount: 'size_t',
  control: 'void *',
  controlBytes: 'size_t',
  flags: 'int',
})
const poll = bind<[Buffer, number, number]>('int poll(_Inout_ uint8_t *sockets, unsigned long count, int timeoutMs)')
const send = bind<[number, Buffer, number, number]>('int send(int fd, const uint8_t *bytes, size_t count, int flags)')
const recv = bind<[number, Buffer, number, number]>('int recv(int fd, _Out_ uint8_t *bytes, size_t count, int flags)')
const recvmsg = bind<[number, object, number]>('int recvmsg(int fd, icmp_msghdr *message, int flags)')

/**
 * too-big: the first link or a router on the way said so.
 * unreachable: this node, a router or the peer said that no packet gets there.
 */
export type EchoOutcome = 'answered' | 'too-big' | 'unreachable' | 'lost'

/**
 * Echo requests of any size to one address, in fragments where somebody wants that. Connected, so that the kernel itself drops what comes
 * from elsewhere. In the network namespace that the thread is in when it is made.
 */
export class EchoSocket {
  readonly #address: string
  readonly #family: Family
  readonly #fd: number
  readonly #isRaw: boolean
  readonly #identifier: number
  /** Of each request that was sent, by its sequence number; nobody sends 65,536 of them. */
  readonly #packetBytes = new Map<number, number>()

  /**
   * @param address as formatAddress writes it; not link-local
   * @param source an address of this node; without it the kernel takes the one of the route
   * @param mayFragment of requests; without it they are whole, or lost
   * @throws EchoError
   */
  constructor(address: string, source?: string, mayFragment = false) {
    this.#address = address
    this.#family = familyOf(address)
    const { fd, isRaw, identifier } = openEchoSocket(address, source, mayFragment)
    this.#fd = fd
    this.#isRaw = isRaw
    this.#identifier = identifier
  }

  /**
   * Sends one request and waits for what becomes of it; one at a time. An answer to an earlier request of the same
   * size is an answer.
   * @param packetBytes with the IP header
   * @throws EchoError
   */
  async echo(packetBytes: number, timeoutMs: number): Promise<EchoOutcome> {
    const sequence = this.#packetBytes.size
    this.#packetBytes.set(sequence, packetBytes)
    const deadlineMs = performance.now() + timeoutMs
    if (!this.#send(echoRequest(this.#family, { identifier: this.#identifier, sequence }, packetBytes)))
      return 'too-big'
    for (;;) {
      const isLate = performance.now() > deadlineMs // before the look: what came while the agent was busy counts
      const outcome = this.#look(packetBytes)
      if (outcome) return outcome
      if (isLate) return 'lost'
      await sleep(POLL_EVERY_MS)
    }
  }

  close(): void {
    closeSync(this.#fd)
  }

  /** @returns false when the packet is larger than the first link */
  #send(message: Buffer): boolean {
    for (let turn = 1; ; turn++)
      try {
        send(this.#fd, message, message.length, 0)
        return true
      } catch (error) {
        // An error about an earlier request comes up at the next call, whatever that is about; then it is gone.
        if (turn < 3) continue
        const errno = errnoOf(error)
        if (errno === 'EMSGSIZE') return false
        if (errno === 'EWOULDBLOCK' || errno === 'ENOBUFS') return true // lost in our own queue, which is as good as on the way
        const remedy =
          errno === 'EPERM' ? 'does a firewall on this node drop ICMP?' : `see: ip route get ${this.#address}`
        throw new EchoError(`cannot send an echo request to ${this.#address} (${errno}); ${remedy}`, { cause: error })
      }
  }

  /** Reads what the kernel has by now, until it is about a request of that size. */
  #look(packetBytes: number): EchoOutcome | undefined {
    for (let count = 0; count < MESSAGES_PER_LOOK; count++) {
      const events = eventsOf(this.#fd)
      if (events === 0) return undefined
      const found = events & POLLERR ? this.#nextError() : this.#nextReply()
      if (!found || (this.#isRaw && found.identifier !== this.#identifier)) continue
      if (this.#packetBytes.get(found.sequence) === packetBytes) return found.outcome
    }
    return undefined
  }

  #nextReply(): (EchoNumbers & { outcome: EchoOutcome }) | undefined {
    const packet = Buffer.alloc(HEADERS_BYTES)
    const bytes = unlessError(() => recv(this.#fd, packet, packet.length, 0))
    if (bytes === undefined) return undefined
    const hasHeader = this.#isRaw && this.#family === 4
    const message = packet.subarray(0, bytes)
    const numbers = readEchoReply(this.#family, hasHeader ? withoutIpv4Header(message) : message)
    return numbers && { ...numbers, outcome: 'answered' }
  }

  #nextError(): (EchoNumbers & { outcome: EchoOutcome }) | undefined {
    getSocketOption(this.#fd, SOL_SOCKET, SO_ERROR, 4) // reading takes it away; the queue says more
    const quoted = Buffer.alloc(HEADERS_BYTES)
    const control = Buffer.alloc(CONTROL_BYTES)
    const message = {
      name: null,
      nameBytes: 0,
      parts: { base: quoted, bytes: quoted.length },
      partCount: 1,
      control,
      controlBytes: control.length,
      flags: 0,
    }
    const bytes = unlessError(() => recvmsg(this.#fd, message, MSG_ERRQUEUE))
    if (bytes === undefined) return undefined
    // struct cmsghdr { size_t len; int level; int type }, struct sock_extended_err { u32 errno; … }
    const errno = control.readUInt32LE(16)
    // An error of our own send quotes nothing; send() has told it already.
    const numbers = readQuotedRequest(this.#family, quoted.subarray(0, bytes))
    if (!numbers || errno === 0) return undefined
    return { ...numbers, outcome: errnoName(errno) === 'EMSGSIZE' ? 'too-big' : 'unreachable' }
  }
}

function eventsOf(fd: number): number {
  const one = Buffer.alloc(8) // struct pollfd
  one.writeInt32LE(fd)
  one.writeInt16LE(POLLIN, 4)
  poll(one, 1, 0)
  return one.readInt16LE(6)
}
