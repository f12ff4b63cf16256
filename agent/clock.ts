import { readFileSync } from 'node:fs'

/** CLOCK_MONOTONIC: the same for every process of one boot, and no clock change moves it. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n)
}

/** Which boot this is: monotonic time counts from it. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}
