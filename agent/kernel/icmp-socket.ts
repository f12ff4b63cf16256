import { closeSync } from 'node:fs'
import { addressBytes, type Family, familyOf } from '../../ipam/address.ts'
import { AF } from './addresses.ts'
import { ECHO_REPLY } from './echo-message.ts'
import { bind, errnoName, SystemError } from './libc.ts'

// include/linux/net.h
const SOCK_DGRAM = 2
const SOCK_RAW = 3
const SOCK_NONBLOCK = 0o4000
const SOCK_CLOEXEC = 0o2000000
// include/uapi/linux/in.h, in6.h, icmp.h, icmpv6.h
const SOL_RAW = 255
const ICMP_FILTER = 1
const ICMPV6_FILTER = 1
const IP = {
  4: { level: 0, protocol: 1, MTU_DISCOVER: 10, RECVERR: 11 },
  6: { level: 41, protocol: 58, MTU_DISCOVER: 23, RECVERR: 25 },
} as const
/** DONT: in fragments, where it must be. PROBE: the DF bit is set, and what the kernel has learnt of the path does not count. */
const PMTUDISC = { DONT: 0, PROBE: 3 } as const

const socket = bind<[number, number, number]>('int socket(int domain, int type, int protocol)')
const setsockopt = bind<[number, number, number, Buffer, number]>(
  'int setsockopt(int fd, int level, int name, const uint8_t *value, uint32_t length)',
)
const bindTo = bind<[number, Buffer, number]>('int bind(int fd, const uint8_t *address, uint32_t length)')
const connect = bind<[number, Buffer, number]>('int connect(int fd, const uint8_t *address, uint32_t length)')
const getsockname = bind<[number, Buffer, Buffer]>(
  'int getsockname(int fd, _Out_ uint8_t *address, _Inout_ uint8_t *length)',
)

/** Echo requests cannot be sent from here; the message says why and what to do. */
export class EchoError extends Error {
  override readonly name = 'EchoError'
  readonly code = 'ECHO' as const
}

/** An open socket, and what it writes into requests. */
export interface OpenEchoSocket {
  readonly fd: number
  readonly isRaw: boolean
  readonly identifier: number
}

/**
 * A socket for echo requests to one address. Connected, so that the kernel itself drops what comes from elsewhere.
 * @param mayFragment what is larger than the path goes in pieces
 * @throws EchoError
 */
export function openEchoSocket(address: string, source?: string, mayFragment = false): OpenEchoSocket {
  const family = familyOf(address)
  const { fd, isRaw } = openSocket(family)
  try {
    configure(fd, family, isRaw, mayFragment)
    join(fd, address, source)
    return { fd, isRaw, identifier: isRaw ? Math.floor(Math.random() * 0x1_0000) : portOf(fd) }
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** A raw socket needs CAP_NET_RAW, the other one a group that the node's administrator allows: icmp(7). */
function openSocket(family: Family): { fd: number; isRaw: boolean } {
  const open = (type: number) => socket(AF[family], type | SOCK_NONBLOCK | SOCK_CLOEXEC, IP[family].protocol)
  const raw = unlessError(() => open(SOCK_RAW))
  if (raw !== undefined) return { fd: raw, isRaw: true }
  try {
    return { fd: open(SOCK_DGRAM), isRaw: false }
  } catch (error) {
    throw new EchoError(
      `cannot open a socket for IPv${family} echo requests (${errnoOf(error)}); give the agent CAP_NET_RAW, or let its group into the sysctl net.ipv4.ping_group_range`,
      { cause: error },
    )
  }
}

function configure(fd: number, family: Family, isRaw: boolean, mayFragment: boolean): void {
  const { level, MTU_DISCOVER, RECVERR } = IP[family]
  const set = (at: number, name: number, value: Buffer) => setsockopt(fd, at, name, value, value.length)
  set(level, MTU_DISCOVER, Buffer.from([mayFragment ? PMTUDISC.DONT : PMTUDISC.PROBE, 0, 0, 0]))
  set(level, RECVERR, Buffer.from([1, 0, 0, 0]))
  if (!isRaw) return
  // What is set is kept out: everything but echo replies.
  const filter = Buffer.alloc(family === 4 ? 4 : 32, 0xff)
  const reply = ECHO_REPLY[family]
  filter[reply >> 3] = 0xff & ~(1 << (reply & 7))
  set(family === 4 ? SOL_RAW : IP[6].protocol, family === 4 ? ICMP_FILTER : ICMPV6_FILTER, filter)
}

function join(fd: number, address: string, source: string | undefined): void {
  try {
    if (source !== undefined) bindTo(fd, ...socketAddress(source))
  } catch (error) {
    throw new EchoError(`cannot send from ${source} (${errnoOf(error)}): is it an address of this node?`, {
      cause: error,
    })
  }
  try {
    connect(fd, ...socketAddress(address))
  } catch (error) {
    throw new EchoError(`no way to ${address} from here (${errnoOf(error)}); see: ip route get ${address}`, {
      cause: error,
    })
  }
}

/** struct sockaddr_in, struct sockaddr_in6, and its length. */
function socketAddress(address: string): [Buffer, number] {
  const family = familyOf(address)
  const bytes = Buffer.alloc(family === 4 ? 16 : 28)
  bytes.writeUInt16LE(AF[family])
  bytes.set(addressBytes(address), family === 4 ? 4 : 8)
  return [bytes, bytes.length]
}

/** What the kernel writes into requests as their identifier when the socket is not raw. */
function portOf(fd: number): number {
  const address = Buffer.alloc(28)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(address.length)
  getsockname(fd, address, length)
  return address.readUInt16BE(2)
}

/** @returns undefined when the kernel refuses */
export function unlessError(call: () => number): number | undefined {
  try {
    return call()
  } catch (error) {
    if (error instanceof SystemError) return undefined
    throw error
  }
}

/** The kernel's word, by name. @throws what is no error of a call of the C library */
export function errnoOf(error: unknown): string {
  if (!(error instanceof SystemError)) throw error
  return errnoName(error.errno)
}
