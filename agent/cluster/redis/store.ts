import type { Connection } from './connection.ts'
import type { Range } from './ranges.ts'
import { LEAVE, LIST, PULSE, REGISTER, REMOVE, REMOVED_OF, SNAPSHOT } from './scripts.ts'

export interface RegisterInput {
  readonly name: string
  /** Which boot of which machine speaks; nothing of it for `restore`. */
  readonly instance: string
  readonly addresses: readonly string[]
  readonly mode: 'join' | 'hold' | 'restore'
  /** The other one of this name has been silent for long, by our own clock. */
  readonly isPatient: boolean
  /** JSON. */
  readonly node: string
  /** In the order of the ranges; '' where any will do. */
  readonly wanted: readonly string[]
}

export type RegisterAnswer =
  /** `founded`: there was no cluster before. */
  | { readonly is: 'ok'; readonly lease: string; readonly founded: boolean }
  /** The cluster has other CIDRs, as text of ranges. */
  | { readonly is: 'cluster'; readonly theirs: readonly string[] }
  /** One of the same name was there lately; `seen` changes when it is there again. */
  | { readonly is: 'other'; readonly addresses: string; readonly seen: string }
  /** Redis has this node with another lease than it holds. */
  | { readonly is: 'moved'; readonly lease: string }
  | { readonly is: 'taken'; readonly lease: string; readonly holder: string }
  | { readonly is: 'full'; readonly family: string; readonly nodes: number }
  /** Somebody removed it: it is not restored. */
  | { readonly is: 'removed' }

export interface Snapshot {
  /** The id of the change after which it was so; later ones follow. */
  readonly lastChange: string
  readonly nodes: ReadonlyMap<string, string>
}

export interface Listing {
  readonly nowSeconds: number
  readonly leases: ReadonlyMap<string, string>
  readonly nodes: ReadonlyMap<string, string>
  readonly seen: ReadonlyMap<string, string>
}

export type RemoveAnswer =
  | { readonly is: 'ok'; readonly lease: string }
  | { readonly is: 'unknown' }
  | { readonly is: 'alive'; readonly ageSeconds: number }

/** What we ask of Redis, with names and types. Every method @throws RedisError */
export class Store {
  readonly #connection: Connection
  readonly #ranges: readonly Range[]

  constructor(connection: Connection, ranges: readonly Range[]) {
    this.#connection = connection
    this.#ranges = ranges
  }

  async register(input: RegisterInput): Promise<RegisterAnswer> {
    const { name, instance, addresses, mode, isPatient, node, wanted } = input
    const ranges = this.#ranges.flatMap(({ family, text, capacity }, index) => [
      String(family),
      text,
      String(capacity),
      wanted[index] ?? '',
    ])
    const from = [...addresses].sort().join(',')
    const answer = await this.#connection.run(
      REGISTER,
      name,
      instance,
      from,
      mode,
      isPatient ? '1' : '0',
      node,
      ...ranges,
    )
    const [is, first = '', second = ''] = answer as string[]
    switch (is) {
      case 'ok':
        return { is, lease: first, founded: second === '1' }
      case 'cluster':
        return { is, theirs: [first, second].filter((text) => text !== '') }
      case 'other':
        return { is, addresses: first, seen: second }
      case 'moved':
        return { is, lease: first }
      case 'taken':
        return { is, lease: first, holder: second }
      case 'full':
        return { is, family: first, nodes: Number(second) }
      default:
        return { is: 'removed' }
    }
  }

  async leave(name: string, instance: string): Promise<void> {
    await this.#connection.run(LEAVE, name, instance)
  }

  async snapshot(): Promise<Snapshot> {
    const [lastChange, nodes] = (await this.#connection.run(SNAPSHOT)) as [string, string[]]
    return { lastChange, nodes: pairs(nodes) }
  }

  /** @returns `own` is another text when the lease or the Node of that name, or the cluster, is another */
  async pulse(name: string): Promise<{ lastChange: string; nodes: number; own: string }> {
    const [lastChange, nodes, own] = (await this.#connection.run(PULSE, name)) as [string, number, string]
    return { lastChange, nodes, own }
  }

  /** @returns those of the names that somebody removed */
  async removedOf(names: readonly string[]): Promise<ReadonlySet<string>> {
    if (names.length === 0) return new Set()
    return new Set((await this.#connection.run(REMOVED_OF, ...names)) as string[])
  }

  async list(): Promise<Listing> {
    const [now, leases, nodes, seen] = (await this.#connection.run(LIST)) as [string, string[], string[], string[]]
    return { nowSeconds: Number(now), leases: pairs(leases), nodes: pairs(nodes), seen: pairs(seen) }
  }

  async remove(name: string, isForced: boolean): Promise<RemoveAnswer> {
    const [is, detail = ''] = (await this.#connection.run(REMOVE, name, isForced ? '1' : '0')) as string[]
    if (is === 'ok') return { is, lease: detail }
    return is === 'alive' ? { is, ageSeconds: Number(detail) } : { is: 'unknown' }
  }
}

function pairs(flat: readonly string[]): Map<string, string> {
  const map = new Map<string, string>()
  for (let index = 0; index + 1 < flat.length; index += 2) map.set(flat[index] ?? '', flat[index + 1] ?? '')
  return map
}
