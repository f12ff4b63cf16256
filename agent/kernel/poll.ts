import { bind } from './libc.ts'

// include/uapi/asm-generic/poll.h
const POLLOUT = 4

const poll = bind<[Buffer, number, number]>('int poll(_Inout_ uint8_t *files, unsigned long count, int timeoutMs)')

/** @returns whether a write would not wait; also where it would fail, which the write then tells */
export function isWritable(fd: number, timeoutMs: number): boolean {
  const one = Buffer.alloc(8) // struct pollfd
  one.writeInt32LE(fd)
  one.writeInt16LE(POLLOUT, 4)
  return poll(one, 1, timeoutMs) > 0
}
