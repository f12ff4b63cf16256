import { readFileSync } from 'node:fs'
import { bindQuietly } from './libc.ts'

/** asm-generic/mman-common.h */
const MADV_DONTNEED = 4

const madvise = bindQuietly<[bigint, bigint, number]>('int madvise(uintptr_t start, size_t length, int advice)')

/**
 * Takes the code and the constants of this program and of its libraries out of its memory. They stay in the page cache
 * for as long as nobody else needs the room, and come back, 64 KiB at a time, where they are used again: of 80 MiB that the start
 * went through once, an agent that works needs a third, and one that waits a tenth.
 */
export function forgetFilePages(): void {
  // What may not be dropped, since it is locked, stays.
  for (const { start, end } of unwrittenMappings(ownMappings())) madvise(start, end - start, MADV_DONTNEED)
}

/** Nothing is worth an end of the agent: on a kernel without CONFIG_PROC_PAGE_MONITOR, or with no descriptor left, all stays. */
function ownMappings(): string {
  try {
    return readFileSync('/proc/self/smaps', 'utf8')
  } catch {
    return ''
  }
}

/**
 * Where files are mapped that cannot be written to, and never were: a relocated page is the process's own, and is nowhere else.
 * @param smaps proc_pid_smaps(5)
 */
export function unwrittenMappings(smaps: string): { readonly start: bigint; readonly end: bigint }[] {
  const mappings = smaps.matchAll(
    /^([0-9a-f]+)-([0-9a-f]+) r-[-x]p \S+ \S+ \d+ +\/.*\n(?:[A-Z].*\n)*?Anonymous: +0 kB\n(?:[A-Z].*\n)*?Swap: +0 kB$/gm,
  )
  return Array.from(mappings, ([, start, end]) => ({ start: BigInt(`0x${start}`), end: BigInt(`0x${end}`) }))
}
