import koffi from './koffi.ts'
import { bindQuietly, SystemError } from './libc.ts'

/**
 * The kernel carries out a netlink request within the system call that sends it: when that returns, the answers wait in the
 * socket. So they are fetched at once, all in one system call; by way of the event loop each would cost two and a Buffer
 * outside of the heap, which was half of what an ADD took.
 */

// include/linux/socket.h, include/uapi/asm-generic/errno-base.h
const MSG_TRUNC = 0x20
const MSG_DONTWAIT = 0x40
const EINTR = 4
const EAGAIN = 11

/** Of one system call; there may be more. */
const DATAGRAMS_MAX = 32
/** Far more than a receive buffer holds: who floods the socket must not keep the agent at it. */
const BATCHES_MAX = 64
/** Parts of a listing are the longest: 32 KiB, net/netlink/af_netlink.c, netlink_dump(). Only what is written of it is ever memory. */
const DATAGRAM_BYTES = 32 * 1024
/** struct mmsghdr, struct sockaddr_nl and struct iovec of 64-bit machines. */
const HEADER_BYTES = 64
const ADDRESS_BYTES = 12
const VECTOR_BYTES = 16
/** nl_pid of the kernel itself: netlink(7). */
const KERNEL_PORT = 0

const sendTo = bindQuietly<[number, Buffer, number, number]>(
  'intptr_t send(int fd, const uint8_t *bytes, size_t length, int flags)',
)
const receiveMany = bindQuietly<[number, Buffer, number, number, null]>(
  'int recvmmsg(int fd, uint8_t *headers, uint32_t count, int flags, void *timeout)',
)

/** One for all sockets: what is received is copied before anything else happens. */
const datagrams = Buffer.alloc(DATAGRAMS_MAX * DATAGRAM_BYTES)
const addresses = Buffer.alloc(DATAGRAMS_MAX * ADDRESS_BYTES)
const vectors = Buffer.alloc(DATAGRAMS_MAX * VECTOR_BYTES)
const headers = receiveHeaders()

/** To the kernel. @throws SystemError */
export function sendNow(fd: number, bytes: Buffer): void {
  let sent: number
  do sent = sendTo(fd, bytes, bytes.length, 0)
  while (sent === -EINTR)
  if (sent < 0) throw new SystemError('send', -sent)
}

/** What one system call has fetched. */
export interface Received {
  /** Whoever sent them; 0: nothing waits. */
  readonly count: number
  /** The kernel's. */
  readonly datagrams: readonly Buffer[]
  /** So many of the kernel's were longer than any can be, and are lost. */
  readonly truncated: number
}

/**
 * What waits on the socket by now. What another process sent is left out: the port is no secret in a pod's namespace.
 * @throws SystemError
 */
export function receiveNow(fd: number): Received {
  let count: number
  do count = receiveMany(fd, headers, DATAGRAMS_MAX, MSG_DONTWAIT, null)
  while (count === -EINTR)
  if (count === -EAGAIN) return { count: 0, datagrams: [], truncated: 0 }
  if (count < 0) throw new SystemError('recvmmsg', -count)
  const received: Buffer[] = []
  let truncated = 0
  for (let index = 0; index < count; index++) {
    const header = index * HEADER_BYTES
    if (addresses.readUInt32LE(index * ADDRESS_BYTES + 4) !== KERNEL_PORT) continue
    const start = index * DATAGRAM_BYTES
    if (headers.readUInt32LE(header + 48) & MSG_TRUNC) truncated++
    else received.push(Buffer.from(datagrams.subarray(start, start + headers.readUInt32LE(header + 56))))
  }
  return { count, datagrams: received, truncated }
}

/**
 * Takes what waits until nothing does, or no more is wanted; not for ever.
 * @throws SystemError; what `take` throws first, and RangeError, when all the others are taken
 */
export function receiveUntil(fd: number, isDone: () => boolean, take: (datagram: Buffer) => void): void {
  const failures: unknown[] = []
  for (let batch = 0; batch < BATCHES_MAX && !isDone(); batch++) {
    const { count, datagrams, truncated } = receiveNow(fd)
    failures.push(...takeEach(datagrams, take))
    if (truncated > 0) failures.push(new RangeError('a netlink message is longer than any can be'))
    if (count === 0) break
  }
  if (failures.length > 0) throw failures[0]
}

/** They are off the socket, and come no second time: one that fails must not lose those behind it. @returns what was thrown */
export function takeEach(datagrams: readonly Buffer[], take: (datagram: Buffer) => void): unknown[] {
  return datagrams.flatMap((datagram) => {
    try {
      take(datagram)
      return []
    } catch (error) {
      return [error]
    }
  })
}

/** Where the kernel puts what it has, for each datagram: struct msghdr and behind it the length. */
function receiveHeaders(): Buffer {
  const all = Buffer.alloc(DATAGRAMS_MAX * HEADER_BYTES)
  const [toDatagrams, toAddresses, toVectors] = [datagrams, addresses, vectors].map((buffer) => koffi.address(buffer))
  for (let index = 0; index < DATAGRAMS_MAX; index++) {
    const [header, vector] = [index * HEADER_BYTES, index * VECTOR_BYTES]
    vectors.writeBigUInt64LE((toDatagrams ?? 0n) + BigInt(index * DATAGRAM_BYTES), vector)
    vectors.writeBigUInt64LE(BigInt(DATAGRAM_BYTES), vector + 8)
    all.writeBigUInt64LE((toAddresses ?? 0n) + BigInt(index * ADDRESS_BYTES), header)
    all.writeUInt32LE(ADDRESS_BYTES, header + 8)
    all.writeBigUInt64LE((toVectors ?? 0n) + BigInt(vector), header + 16)
    all.writeBigUInt64LE(1n, header + 24)
  }
  return all
}
