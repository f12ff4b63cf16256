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

/** Of one system call; there may be more. */
const DATAGRAMS_MAX = 32
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

/**
 * What waits on the socket by now; nothing where nothing does. What another process sent is left out: the port is no secret
 * in a pod's namespace.
 */
export function receiveNow(fd: number): Buffer[] {
  const count = receiveMany(fd, headers, DATAGRAMS_MAX, MSG_DONTWAIT, null)
  const received: Buffer[] = []
  for (let index = 0; index < count; index++) {
    const header = index * HEADER_BYTES
    if (addresses.readUInt32LE(index * ADDRESS_BYTES + 4) !== KERNEL_PORT) continue
    if (headers.readUInt32LE(header + 48) & MSG_TRUNC)
      throw new RangeError('a netlink message is longer than any can be')
    const start = index * DATAGRAM_BYTES
    received.push(Buffer.from(datagrams.subarray(start, start + headers.readUInt32LE(header + 56))))
  }
  return received
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
