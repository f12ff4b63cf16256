import { readFileSync } from 'node:fs'
import { release } from 'node:os'
import type { ClusterNode, ClusterView, Encapsulation } from '../cluster/view.ts'
import type { Tunnel, WaySettings } from '../desired/way.ts'
import { probeEncapsulations } from '../kernel/features.ts'
import { remedyFor } from '../kernel/modules.ts'

/** What each needs of the kernel. */
const KINDS: Readonly<Record<Encapsulation, readonly Tunnel[]>> = {
  vxlan: ['vxlan'],
  ipip: ['ipip', 'gre'],
  wireguard: ['wireguard'],
}

/**
 * Which tunnels the kernel can make, by trying. Only those are tried that this node or one of its peers may need: the
 * modules of ipip and gre put links of their own into every namespace.
 */
export class TunnelFeatures {
  readonly #settings: WaySettings
  readonly #possible = new Set<Tunnel>()
  #missing = new Map<Tunnel, string>()

  constructor(settings: WaySettings) {
    this.#settings = settings
  }

  /** What could not be made when it was last tried is tried again. @returns by kind, what to do about it @throws KernelError */
  async missing(view: ClusterView): Promise<ReadonlyMap<Tunnel, string>> {
    if (view.nodes.size === 0) return this.#missing // alone
    await this.#try(new Set([...view.nodes.values()].flatMap((node) => this.#wantedFor(node))))
    await this.tryOwn()
    return this.#missing
  }

  /** What this node would do with peers of its kind, whether there are any or not. @throws KernelError */
  async tryOwn(): Promise<void> {
    await this.#try(this.#wantedOfAll())
    if (this.#settings.routing === 'auto' && this.#missing.has('vxlan')) await this.#try(KINDS.ipip)
  }

  /** Does this node, as it is now, need something that nobody has tried yet? */
  isNews(node: ClusterNode): boolean {
    return this.#wantedFor(node).some((kind) => !this.#possible.has(kind) && !this.#missing.has(kind))
  }

  /** For the others to know. */
  get encapsulations(): readonly Encapsulation[] {
    return (Object.keys(KINDS) as Encapsulation[]).filter((one) => KINDS[one].every((kind) => this.#possible.has(kind)))
  }

  #wantedOfAll(): readonly Tunnel[] {
    const { routing, isEncrypted } = this.#settings
    if (isEncrypted) return KINDS.wireguard
    if (routing === 'auto') return KINDS.vxlan
    return routing === 'direct' ? [] : KINDS[routing]
  }

  /** A peer that cannot do VXLAN is met by IPIP. */
  #wantedFor({ announcement }: ClusterNode): readonly Tunnel[] {
    const { routing, isEncrypted } = this.#settings
    const isOther = announcement !== undefined && !announcement.encapsulations.includes('vxlan')
    return routing === 'auto' && !isEncrypted && isOther ? KINDS.ipip : []
  }

  async #try(kinds: Iterable<Tunnel>): Promise<void> {
    const open = [...kinds].filter((kind) => !this.#possible.has(kind))
    if (open.length === 0) return
    const missing = new Map(this.#missing)
    for (const [kind, outcome] of await probeEncapsulations(open)) {
      missing.delete(kind)
      if (outcome === 'possible') this.#possible.add(kind)
      else missing.set(kind, remedyFor(kind, osRelease(), release()))
    }
    this.#missing = missing
  }
}

function osRelease(): string {
  try {
    return readFileSync('/etc/os-release', 'utf8')
  } catch {
    return ''
  }
}
