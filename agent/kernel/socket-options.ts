import koffi from './koffi.ts'
import { bind } from './libc.ts'

// include/uapi/asm-generic/socket.h, include/uapi/linux/netlink.h
export const SOL_SOCKET = 1
export const SO_PEERCRED = 17
const SO_ATTACH_FILTER = 26
export const SO_PROTOCOL = 38
export const SO_MEMINFO = 55
export const SOL_NETLINK = 270
export const NETLINK_NO_ENOBUFS = 5
export const NETLINK_CAP_ACK = 10
export const NETLINK_EXT_ACK = 11

const getsockopt = bind<[number, number, number, Buffer, Buffer]>(
  'int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint8_t *length)',
)
const setsockopt = bind<[number, number, number, Buffer, number]>(
  'int setsockopt(int fd, int level, int name, const uint8_t *value, uint32_t length)',
)

/** @throws SystemError */
export function getSocketOption(fd: number, level: number, name: number, bytes: number): Buffer {
  const value = Buffer.alloc(bytes)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(bytes)
  getsockopt(fd, level, name, value, length)
  return value
}

/** @throws SystemError; ENOPROTOOPT where the kernel is older than the option */
export function setSocketFlag(fd: number, level: number, name: number): void {
  const on = Buffer.alloc(4)
  on.writeInt32LE(1)
  setsockopt(fd, level, name, on, on.length)
}

/**
 * What the program does not let through, the socket never sees, and it does not count as lost.
 * @param program of the classic BPF: struct sock_filter after struct sock_filter; the kernel takes a copy
 * @throws SystemError
 */
export function attachFilter(fd: number, program: Buffer): void {
  // struct sock_fprog { unsigned short len; struct sock_filter *filter }
  const reference = Buffer.alloc(16)
  reference.writeUInt16LE(program.length / 8)
  reference.writeBigUInt64LE(koffi.address(program), 8)
  setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, reference, reference.length)
}
