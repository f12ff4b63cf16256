import { readdirSync, readFileSync } from 'node:fs'
import { type Family, family } from './family.ts'

/** This process, as proc(5) and Node tell of it. */
export function processFamilies(): Family[] {
  const { user, system } = process.cpuUsage()
  const { rss, heapUsed } = process.memoryUsage()
  return [
    family('process_cpu_seconds_total', [[{}, (user + system) / 1e6]]),
    family('process_resident_memory_bytes', [[{}, rss]]),
    family('process_heap_bytes', [[{}, heapUsed]]),
    family('process_open_fds', [[{}, readdirSync('/proc/self/fd').length - 1]]), // one is for the listing itself
    family('process_max_fds', [[{}, maxFds()]]),
    // A machine without a clock of its own learns the time late: of both it takes what holds now.
    family('process_start_time_seconds', [[{}, Math.round(Date.now() / 1000 - process.uptime())]]),
  ]
}

function maxFds(): number {
  const [, soft = 'unlimited'] = /^Max open files\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
  return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft)
}
