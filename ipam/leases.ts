import { type Cidr, contains } from './address.ts'
import type { HostPort } from './host-port.ts'
import { type FreedAddress, Pool, type PoolUse } from './pool.ts'

/** The addresses of one attachment, and whose it is. */
export interface Lease {
  readonly containerId: string
  readonly ifname: string
  readonly network: string
  /** `namespace/name`; empty without Kubernetes. */
  readonly pod: string
  /** Tells the pod from another one of the same name; absent where it is not known. */
  readonly podUid?: string
  readonly addresses: readonly string[]
  /** Ports of the node that lead to them; absent where there are none. */
  readonly hostPorts?: readonly HostPort[]
  /** The node's end and the MAC of the pod's, where they do not follow from container and interface: see recover(). */
  readonly found?: { readonly link: string; readonly mac: string }
}

export type LeaseOwner = Omit<Lease, 'addresses'>

/** Every address of a CIDR is held. */
export class PoolExhaustedError extends Error {
  override readonly name = 'PoolExhaustedError'
  readonly code = 'POOL_EXHAUSTED' as const
  readonly cidr: string
  readonly capacity: number

  constructor(cidr: string, capacity: number) {
    super(`no address is free in ${cidr}: all ${capacity} are held`)
    this.cidr = cidr
    this.capacity = capacity
  }
}

/** Of each pool; enough that their order and their rest outlive a restart on any node that people have. */
const FREED_REMEMBERED = 4_096

/** What remembers freed addresses over a restart of the agent. */
export interface FreedStore {
  append(addresses: readonly string[], freedAtMs: number): void
}

/**
 * Who holds which addresses: one of each family, or none. Truth is in the kernel; this is the agent's picture of it,
 * rebuilt at every start.
 */
export class Leases {
  readonly #pools: readonly Pool[]
  readonly #leases = new Map<string, Lease>()
  /** Addresses that more than one lease was found to have. */
  readonly #shared = new Set<string>()
  readonly #store: FreedStore
  readonly #nowMs: () => number

  constructor(cidrs: readonly Cidr[], store: FreedStore, nowMs: () => number) {
    this.#pools = cidrs.map((cidr) => new Pool(cidr))
    this.#store = store
    this.#nowMs = nowMs
  }

  get pools(): readonly Pool[] {
    return this.#pools
  }

  get(containerId: string, ifname: string): Lease | undefined {
    return this.#leases.get(keyOf(containerId, ifname))
  }

  list(): Lease[] {
    return [...this.#leases.values()]
  }

  /** @throws PoolExhaustedError, with no address taken of the other family */
  reserve(owner: LeaseOwner): Lease {
    const key = keyOf(owner.containerId, owner.ifname)
    if (this.#leases.has(key)) throw new Error(`reserved twice: ${key}`)
    const exhausted = this.#pools.find((pool) => pool.isExhausted)
    if (exhausted) throw new PoolExhaustedError(exhausted.cidr.text, exhausted.capacity)
    const addresses = this.#pools.map((pool) => pool.allocate(this.#nowMs()))
    const lease = { ...owner, addresses }
    this.#leases.set(key, lease)
    return lease
  }

  /**
   * Takes over a lease that was found in the kernel. Addresses outside of the pools are kept too: they are in use,
   * whatever the configuration says by now.
   * @returns the addresses that another lease holds already
   */
  adopt(lease: Lease): string[] {
    this.#leases.set(keyOf(lease.containerId, lease.ifname), lease)
    const conflicts = lease.addresses.filter((address) => this.#poolOf(address)?.claim(address) === false)
    for (const address of conflicts) this.#shared.add(address)
    return conflicts
  }

  /** Lets addresses rest that nobody holds any more, though no lease of theirs is known. */
  rest(addresses: readonly string[]): void {
    const freedAtMs = this.#nowMs()
    for (const address of addresses) this.#poolOf(address)?.rest(address, freedAtMs)
    this.#store.append(addresses, freedAtMs)
  }

  /** Tells of any address whether it is one of ours that nobody held when this was called. */
  ownerless(): (address: string) => boolean {
    const held = new Set(this.list().flatMap(({ addresses }) => addresses))
    return (address) => !held.has(address) && this.#pools.some((pool) => pool.gives(address))
  }

  /** Continues the rest of what was freed before a restart; to be called when all leases are adopted. */
  restoreFreed(freed: readonly FreedAddress[]): void {
    for (const { address, freedAtMs } of freed) this.#poolOf(address)?.rest(address, freedAtMs)
  }

  /** What was freed last, oldest first. */
  freed(): FreedAddress[] {
    return this.#pools.flatMap((pool) => pool.freed(FREED_REMEMBERED)).sort((a, b) => a.freedAtMs - b.freedAtMs)
  }

  /** Absent is success. */
  release(containerId: string, ifname: string): void {
    const key = keyOf(containerId, ifname)
    const lease = this.#leases.get(key)
    if (!lease) return
    this.#leases.delete(key)
    const freedAtMs = this.#nowMs()
    const freed = lease.addresses.filter((address) => !this.#isStillHeld(address))
    for (const address of freed) this.#poolOf(address)?.release(address, freedAtMs)
    this.#store.append(freed, freedAtMs)
  }

  use(): PoolUse[] {
    return this.#pools.map((pool) => pool.use(this.#nowMs()))
  }

  /** Of an address that two leases have, the first one's end frees nothing. */
  #isStillHeld(address: string): boolean {
    return this.#shared.has(address) && this.list().some(({ addresses }) => addresses.includes(address))
  }

  #poolOf(address: string): Pool | undefined {
    return this.#pools.find((pool) => contains(pool.cidr, address))
  }
}

function keyOf(containerId: string, ifname: string): string {
  return `${containerId}:${ifname}`
}
