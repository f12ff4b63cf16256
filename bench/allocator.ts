import { parseCidr } from '../ipam/address.ts'
import { Leases } from '../ipam/leases.ts'
import { Pool } from '../ipam/pool.ts'
import { interleave } from './stats.ts'
import { type Row, ratioRow } from './table.ts'

const LARGE = parseCidr('10.42.0.0/16')
const SMALL = parseCidr('10.42.0.0/24')

/** Whether the size of the pool shows in the price of an address. */
export function allocator(): Row[] {
  return [filling(), reserving()]
}

/** Per address, when a whole pool is given out from the first address to the last. */
function filling(): Row {
  const [large, small] = sideBySide(61, fillUs, LARGE, SMALL)
  return ratioRow('allocation in a /16, average over all of it', 'µs', large, { name: 'in a /24', samples: small }, 1.2)
}

/** With its lease, when as many containers live as the pool can bear: 49,000 in the one, 190 in the other. */
function reserving(): Row {
  const [large, small] = sideBySide(3000, reservationUs, nearlyFull(LARGE), nearlyFull(SMALL))
  return ratioRow('lease in a /16 that is 3/4 full', 'µs', large, { name: 'in a /24', samples: small })
}

function sideBySide<T>(times: number, measureUs: (side: T) => number, a: T, b: T): [number[], number[]] {
  const turns = interleave(Array<T>(times).fill(a), Array<T>(times).fill(b))
  const us = turns.map(measureUs)
  return [us.filter((_, i) => i % 2 === 0), us.filter((_, i) => i % 2 === 1)]
}

function fillUs(cidr: typeof LARGE): number {
  const pool = new Pool(cidr)
  const nowMs = performance.now()
  while (!pool.isExhausted) pool.allocate(nowMs)
  return ((performance.now() - nowMs) * 1000) / pool.capacity
}

/** Reservations per sample: the clock is too coarse for one. */
const AT_ONCE = 32
let containers = 0

function reservationUs(leases: Leases): number {
  const ids = Array.from({ length: AT_ONCE }, () => `measured-${++containers}`) // an id is never seen twice
  const startedMs = performance.now()
  for (const id of ids) reserve(leases, id)
  const tookMs = performance.now() - startedMs
  for (const id of ids) leases.release(id, 'eth0')
  return (tookMs * 1000) / AT_ONCE
}

/** Every address has been given once, as after some weeks; the oldest quarter is free again. */
function nearlyFull(cidr: typeof LARGE): Leases {
  const leases = new Leases([cidr], { append() {} }, () => performance.now())
  const capacity = leases.pools[0]?.capacity ?? 0
  for (let i = 0; i < capacity; i++) reserve(leases, `filling-${i}`)
  for (let i = 0; i < capacity / 4; i++) leases.release(`filling-${i}`, 'eth0')
  return leases
}

function reserve(leases: Leases, containerId: string): void {
  leases.reserve({ containerId, ifname: 'eth0', network: 'bench', pod: 'bench/pod' })
}
