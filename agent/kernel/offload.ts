import { closeSync } from 'node:fs'
import { AF } from './addresses.ts'
import { KernelError } from './errors.ts'
import koffi from './koffi.ts'
import { bind, SystemError } from './libc.ts'

// include/linux/net.h, include/uapi/linux/sockios.h, include/uapi/linux/ethtool.h
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000
const SIOCETHTOOL = 0x8946
const ETHTOOL_GTXCSUM = 0x16
const ETHTOOL_STXCSUM = 0x17
/** struct ifreq: a name of 16 bytes, and here a pointer. */
const IFREQ_BYTES = 40
const IFNAME_BYTES = 16

const socket = bind<[number, number, number]>('int socket(int domain, int type, int protocol)')
const ioctl = bind<[number, number, Buffer]>('int ioctl(int fd, unsigned long request, _Inout_ uint8_t *value)')

/** Whether checksums of packets that leave by the link are for the network card to fill in. @throws KernelError */
export function hasChecksumOffload(link: string): boolean {
  return askLink(link, ETHTOOL_GTXCSUM, 0) !== 0
}

/** From now on the kernel computes them itself, which works with every card. @throws KernelError */
export function switchChecksumOffloadOff(link: string): void {
  askLink(link, ETHTOOL_STXCSUM, 0)
}

/** struct ethtool_value: command and data. @returns the data */
function askLink(link: string, command: number, data: number): number {
  const value = Buffer.alloc(8)
  value.writeUInt32LE(command)
  value.writeUInt32LE(data, 4)
  const request = Buffer.alloc(IFREQ_BYTES)
  request.write(link, 0, IFNAME_BYTES - 1)
  request.writeBigUInt64LE(koffi.address(value), IFNAME_BYTES)
  const fd = socket(AF[4], SOCK_DGRAM | SOCK_CLOEXEC, 0)
  try {
    ioctl(fd, SIOCETHTOOL, request)
    return value.readUInt32LE(4)
  } catch (error) {
    if (error instanceof SystemError) throw new KernelError(`offload of ${link}`, error.errno)
    throw error
  } finally {
    closeSync(fd)
  }
}
