import { closeSync, openSync, readdirSync } from 'node:fs'
import { RawNetlinkSocket } from 'netlink/dist/raw.js'
import { bind } from './libc.ts'
import {
  attachFilter,
  getSocketOption,
  NETLINK_CAP_ACK,
  NETLINK_EXT_ACK,
  NETLINK_NO_ENOBUFS,
  SO_MEMINFO,
  SO_PROTOCOL,
  SOL_NETLINK,
  SOL_SOCKET,
  setSocketFlag,
} from './socket-options.ts'

/** include/uapi/linux/netlink.h */
export const NETLINK_PROTOCOL = { route: 0, netfilter: 12, generic: 16 } as const

/** nl_pid of the kernel itself: netlink(7). */
const KERNEL_PORT = 0
/** struct sockaddr_nl: family, padding, port, groups. */
const SOCKADDR_BYTES = 12
/** include/uapi/linux/sock_diag.h: SO_MEMINFO gives SK_MEMINFO_VARS numbers, SK_MEMINFO_DROPS among them. */
const MEMINFO_BYTES = 9 * 4
const MEMINFO_DROPS = 8 * 4

const getsockname = bind<[number, Buffer, Buffer]>(
  'int getsockname(int fd, _Out_ uint8_t *address, _Inout_ uint8_t *length)',
)

/**
 * The `netlink` package's socket, and its descriptor, for what the package does not offer: errors in the kernel's own
 * words, and a full receive buffer that does not end the process (the package throws from libuv's callback when poll
 * reports it).
 */
export class NetlinkSocket {
  readonly raw: RawNetlinkSocket
  readonly fd: number

  /**
   * In the network namespace that the thread is in at this moment.
   * @param protocol one of NETLINK_PROTOCOL
   */
  constructor(protocol: number = NETLINK_PROTOCOL.route) {
    const lowestFree = openSync('/dev/null', 'r')
    closeSync(lowestFree)
    this.raw = new RawNetlinkSocket(protocol)
    const { port } = this.raw.address()
    this.fd = portOf(lowestFree) === port ? lowestFree : searchDescriptor(protocol, port)
    setSocketFlag(this.fd, SOL_NETLINK, NETLINK_NO_ENOBUFS)
    setSocketFlag(this.fd, SOL_NETLINK, NETLINK_CAP_ACK)
    setSocketFlag(this.fd, SOL_NETLINK, NETLINK_EXT_ACK)
    this.raw.unref()
  }

  /**
   * Hands over what the kernel sends. What another process sends is dropped: the port is no secret in a pod's
   * namespace. An exception does not get into the native callback, where it would end the process without a word.
   */
  onMessage(receive: (bytes: Buffer) => void): void {
    this.raw.on('message', (bytes, { port }) => {
      if (port !== KERNEL_PORT) return
      try {
        receive(bytes)
      } catch (error) {
        setImmediate(() => {
          throw error
        })
      }
    })
  }

  /** From now on the kernel hands over only what the filter lets through. @param filter from netlink-filter.ts */
  accept(filter: Buffer): void {
    attachFilter(this.fd, filter)
  }

  /** How many messages were lost so far because the buffer was full. */
  drops(): number {
    return getSocketOption(this.fd, SOL_SOCKET, SO_MEMINFO, MEMINFO_BYTES).readUInt32LE(MEMINFO_DROPS)
  }

  /** After the callback that may be running at this moment: the package cannot close from inside of one. */
  close(): void {
    setImmediate(() => this.raw.close())
  }
}

function searchDescriptor(protocol: number, port: number): number {
  const found = netlinkDescriptors(protocol).find((fd) => portOf(fd) === port)
  if (found === undefined) throw new Error(`netlink socket with port ${port} has no descriptor`)
  return found
}

/** All netlink sockets of one protocol that this process has open; two of different protocols may have the same port. */
export function netlinkDescriptors(protocol: number): number[] {
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter(
      (fd) => portOf(fd) !== undefined && getSocketOption(fd, SOL_SOCKET, SO_PROTOCOL, 4).readInt32LE(0) === protocol,
    )
}

/**
 * What the kernel knows a netlink socket by; 0 before its first message.
 * @returns undefined for what is no netlink socket
 */
export function portOf(fd: number): number | undefined {
  const address = Buffer.alloc(SOCKADDR_BYTES)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(SOCKADDR_BYTES)
  try {
    getsockname(fd, address, length)
  } catch {
    return undefined
  }
  const AF_NETLINK = 16
  return address.readUInt16LE(0) === AF_NETLINK ? address.readUInt32LE(4) : undefined
}
