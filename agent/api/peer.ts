import type { Socket } from 'node:net'
import { bind } from '../kernel/libc.ts'

// include/uapi/asm-generic/socket.h
const SOL_SOCKET = 1
const SO_PEERCRED = 17
const UCRED_BYTES = 12

const getsockopt = bind<[number, number, number, Buffer, Buffer]>(
  'int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint8_t *length)',
)

/** @returns the user id of the process at the other end of a unix socket, as the kernel recorded it at connect */
export function peerUid(socket: Socket): number {
  // Node keeps the descriptor to itself; `_handle.fd` has been there since 0.x and is what others use, too.
  const fd = (socket as unknown as { _handle?: { fd?: number } })._handle?.fd ?? -1
  const credentials = Buffer.alloc(UCRED_BYTES)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(UCRED_BYTES)
  getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length)
  return credentials.readUInt32LE(4)
}
