import { familyOf } from '../../ipam/address.ts'
import { EchoSocket } from '../kernel/icmp.ts'
import { EchoError } from '../kernel/icmp-socket.ts'
import { type Echo, measurePathMtu, type PathMtu } from './path-mtu.ts'

export interface Path {
  /** The other end. */
  readonly address: string
  /** An address of this node; without it the kernel takes the one of the route. */
  readonly source?: string
  /** The MTU of the link that the path begins with. */
  readonly mostBytes: number
}

export interface MeasureLimits {
  /** For all paths together; what has not begun by then is not measured. */
  readonly totalMs: number
  /** For each path; 3 s without it. */
  readonly perPathMs?: number
}

const AT_ONCE = 8
const PER_PATH_MS = 3_000
/** A dead node is known after four of these. */
const FIRST_TIMEOUT_MS = 700
/** Three tries outlast the sleep of a Wi-Fi station, which takes its packets at a beacon, each 102 ms by default. */
const LEAST_TIMEOUT_MS = 60
const ROUND_TRIPS = 4

const LEAST_BYTES = { 4: 68, 6: 1280 } as const

/**
 * Measures from here to each of them; the way back may differ, and is the other end's to measure. A few at a time, so
 * that the packets of many nodes are not lost to each other. Never throws for a path: the problem is its result.
 * @returns in the order of the paths
 */
export async function measurePaths(paths: readonly Path[], limits: MeasureLimits): Promise<PathMtu[]> {
  const endMs = performance.now() + limits.totalMs
  const measured: PathMtu[] = []
  const rest = paths.entries()
  const measureRest = async () => {
    for (const [index, path] of rest) measured[index] = await measure(path, endMs, limits)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, measureRest))
  return measured
}

async function measure(
  { address, source, mostBytes }: Path,
  endMs: number,
  { totalMs, perPathMs = PER_PATH_MS }: MeasureLimits,
): Promise<PathMtu> {
  const startMs = performance.now()
  if (startMs >= endMs) return { problem: `was not measured: the ${totalMs / 1000} s for all nodes were over` }
  const stopMs = Math.min(startMs + perPathMs, endMs)
  let socket: EchoSocket | undefined
  try {
    socket = new EchoSocket(address, source)
    const leastBytes = Math.min(LEAST_BYTES[familyOf(address)], mostBytes)
    return await measurePathMtu(patient(socket), { mostBytes, leastBytes, hasTime: () => performance.now() < stopMs })
  } catch (error) {
    if (error instanceof EchoError) return { problem: error.message }
    throw error
  } finally {
    socket?.close()
  }
}

/** Waits a few times as long as the slowest answer so far took. */
function patient(socket: EchoSocket): Echo {
  let timeoutMs = FIRST_TIMEOUT_MS
  let slowestMs = 0
  return async (packetBytes) => {
    const sentMs = performance.now()
    const outcome = await socket.echo(packetBytes, timeoutMs)
    if (outcome !== 'answered') return outcome
    slowestMs = Math.max(slowestMs, performance.now() - sentMs)
    timeoutMs = Math.min(FIRST_TIMEOUT_MS, Math.max(LEAST_TIMEOUT_MS, ROUND_TRIPS * slowestMs))
    return outcome
  }
}
