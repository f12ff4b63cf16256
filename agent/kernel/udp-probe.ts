import { closeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { addressBytes } from '../../ipam/address.ts'
import { AF } from './addresses.ts'
import { bind, errnoName, SystemError } from './libc.ts'
import { SOL_SOCKET, setSocketFlag } from './socket-options.ts'

// include/linux/net.h, include/uapi/asm-generic/socket.h, include/linux/socket.h
const SOCK_DGRAM = 2
const SOCK_NONBLOCK = 0o4000
const SOCK_CLOEXEC = 0o2000000
const SO_NO_CHECK = 11
const MSG_DONTWAIT = 0x40

/** RFC 863: whoever listens there says nothing. Nobody does, these days, and the other end's kernel says so by ICMP. */
const DISCARD_PORT = 9
const TRIES = 3
const WAIT_MS = 500
const LOOK_EVERY_MS = 10

const socket = bind<[number, number, number]>('int socket(int domain, int type, int protocol)')
const connect = bind<[number, Buffer, number]>('int connect(int fd, const uint8_t *address, uint32_t length)')
const send = bind<[number, Buffer, bigint, number]>(
  'int64_t send(int fd, const uint8_t *bytes, size_t length, int flags)',
)
const recv = bind<[number, Buffer, bigint, number]>(
  'int64_t recv(int fd, _Out_ uint8_t *bytes, size_t length, int flags)',
)

/**
 * Does a packet of UDP get to this host, by its word? One whose checksum is wrong is dropped there without a word.
 * @param address IPv4
 * @param options.hasChecksum false: the packet has none, as IPv4 allows (RFC 768), and no card is to fill one in
 */
export async function echoesUdp(address: string, { hasChecksum }: { readonly hasChecksum: boolean }): Promise<boolean> {
  let fd: number | undefined
  try {
    fd = socket(AF[4], SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
    if (!hasChecksum) setSocketFlag(fd, SOL_SOCKET, SO_NO_CHECK)
    connect(fd, socketAddress(address), 16)
    for (let count = 0; count < TRIES; count++) if (await isRefused(fd)) return true
    return false
  } catch (error) {
    if (error instanceof SystemError) return false // no way there
    throw error
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

/** struct sockaddr_in */
function socketAddress(address: string): Buffer {
  const bytes = Buffer.alloc(16)
  bytes.writeUInt16LE(AF[4])
  bytes.writeUInt16BE(DISCARD_PORT, 2)
  bytes.set(addressBytes(address), 4)
  return bytes
}

/** The kernel hands a "port unreachable" to the socket that is connected to there: udp(7). */
async function isRefused(fd: number): Promise<boolean> {
  const word = (call: () => number) => {
    try {
      call()
      return 'heard'
    } catch (error) {
      if (error instanceof SystemError) return errnoName(error.errno)
      throw error
    }
  }
  const probe = Buffer.from('bramble doctor')
  if (word(() => send(fd, probe, BigInt(probe.length), 0)) === 'ECONNREFUSED') return true
  for (let waitedMs = 0; waitedMs < WAIT_MS; waitedMs += LOOK_EVERY_MS) {
    await sleep(LOOK_EVERY_MS)
    const said = word(() => recv(fd, Buffer.alloc(64), 64n, MSG_DONTWAIT))
    if (said === 'heard' || said === 'ECONNREFUSED') return true
  }
  return false
}
