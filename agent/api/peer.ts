import type { Socket } from 'node:net'
import { getSocketOption, SO_PEERCRED, SOL_SOCKET } from '../kernel/socket-options.ts'

/** struct ucred: pid, uid, gid. */
const UCRED_BYTES = 12

/** @returns the user id of the process at the other end of a unix socket, as the kernel recorded it at connect */
export function peerUid(socket: Socket): number {
  // Node keeps the descriptor to itself; `_handle.fd` has been there since 0.x and is what others use, too.
  const fd = (socket as unknown as { _handle?: { fd?: number } })._handle?.fd ?? -1
  return getSocketOption(fd, SOL_SOCKET, SO_PEERCRED, UCRED_BYTES).readUInt32LE(4)
}
