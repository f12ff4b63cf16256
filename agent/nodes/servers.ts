import { lookup } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { isAddress } from '../../ipam/address.ts'
import type { ClusterSource } from '../cluster/view.ts'

/** By address, what this node has to reach at it whatever pods there are; a route to pods would lead elsewhere. */
export type Servers = ReadonlyMap<string, string>

type Source = Pick<ClusterSource, 'server'>

/** A name may lead elsewhere by and by. */
const LOOK_UP_EVERY_MS = 60_000
/** A DNS server may be away, and nobody waits for it longer; what it says later counts from then on. */
const PATIENCE_MS = 3_000

export interface ServerLookupOptions {
  /** Told when a name leads elsewhere than it was known to. */
  readonly onNews?: () => void
  readonly resolvConf?: string
  /** @throws Error where nobody knows the name */
  readonly addressesOf?: (name: string) => Promise<readonly string[]>
}

/** What the source asks, by address or by a name, which is looked up; and who is asked for names. */
export class ServerLookup {
  readonly #source: Source
  readonly #options: ServerLookupOptions
  /** Of the name: where it has led last. */
  #addresses: readonly string[] = []
  #lookedUpAtMs = Number.NEGATIVE_INFINITY
  #lookup: Promise<void> | undefined

  constructor(source: Source, options: ServerLookupOptions = {}) {
    this.#source = source
    this.#options = options
  }

  /** What is known now. A name is looked up behind the caller's back, now and then. */
  get known(): Servers {
    if (performance.now() - this.#lookedUpAtMs > LOOK_UP_EVERY_MS) void this.#lookUp()
    const { resolvConf = '/etc/resolv.conf' } = this.#options
    const servers = new Map(nameServers(resolvConf).map((address) => [address, `a DNS server in ${resolvConf}`]))
    const { server } = this.#source
    if (!server) return servers
    for (const address of isAddress(server.host) ? [server.host] : this.#addresses) servers.set(address, server.name)
    return servers
  }

  /** The same, once the name has been looked up; or without, if that takes too long. */
  async asked(): Promise<Servers> {
    let timer: NodeJS.Timeout | undefined
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, PATIENCE_MS)
    })
    await Promise.race([this.#lookUp(), patience])
    clearTimeout(timer)
    return this.known
  }

  /** Never fails: a name that nobody knows now leads where it has led. */
  #lookUp(): Promise<void> {
    const { server } = this.#source
    this.#lookedUpAtMs = performance.now()
    if (!server || isAddress(server.host)) return Promise.resolve()
    const { addressesOf = allAddresses, onNews } = this.#options
    this.#lookup ??= addressesOf(server.host)
      .then((found) => {
        const addresses = [...found].sort()
        const isNews = addresses.join() !== this.#addresses.join()
        this.#addresses = addresses
        if (isNews) onNews?.()
      })
      .catch(() => {})
      .finally(() => {
        this.#lookup = undefined
      })
    return this.#lookup
  }
}

/** As all programs of this node look it up: /etc/hosts, DNS. */
async function allAddresses(name: string): Promise<string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address)
}

/** resolv.conf(5) */
function nameServers(path: string): string[] {
  try {
    const lines = readFileSync(path, 'utf8').matchAll(/^nameserver\s+([^\s%]+)/gm)
    return Array.from(lines, ([, address = '']) => address).filter(isAddress)
  } catch {
    return []
  }
}
