import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import { formatNodeObject } from '../node-object.ts'
import type { ViewProblem } from '../problem.ts'
import type { ClusterNode } from '../view.ts'
import { type Connection, RedisError } from './connection.ts'
import { NodeTable } from './node-table.ts'
import { indicesOf, type Range } from './ranges.ts'
import { KEYS } from './scripts.ts'
import type { Store } from './store.ts'

/** An answer at least so often; below the silence that a connection survives. */
const BLOCK_MS = 4_000
const BATCH = 500
const RETRY_MS = 2_000
/** Until the next look whether the connection is back. */
const AWAY_MS = 500
/** Every node that is alive puts itself back at once: others do it for the rest, and not all at the same time. */
const PUT_BACK_MS = { least: 2_000, most: 10_000 } as const

/** Agents come back within 5 s, and the first that each says is where its pods are. */
const BELIEVE_AFTER_MS = 10_000

export interface ChangesInput {
  readonly store: Store
  /** One that may block. */
  readonly stream: Connection
  readonly ranges: readonly Range[]
  readonly nodeName: string
  /** As the agent before this one knew them. */
  readonly knownNodes: Iterable<ClusterNode>
  readonly onChange: (changed: ReadonlySet<string>) => void
  /** Redis has this node otherwise than it is, or not at all. */
  readonly onLost: () => void
  /** Its lease or Node in Redis, or the cluster's CIDRs, are others than at the last look, by our own doing or somebody's. */
  readonly onOwnNews: () => void
  readonly onTrouble: (reason: string | undefined) => void
  readonly log: Logger
}

/**
 * The nodes as Redis has them, kept up by its stream of changes. Each change names the one before it: whenever that is
 * not the one we had, everything is read anew.
 */
export class Changes {
  readonly #input: ChangesInput
  readonly #table = new NodeTable()
  readonly #closing = new AbortController()
  /** undefined: nothing was read yet. */
  #lastChange: string | undefined
  #resyncing: Promise<void> | undefined
  /** This node's lease and Node and the cluster, as the last look found them. */
  #own: string | undefined
  #putBackTimer: NodeJS.Timeout | undefined
  #believeTimer: NodeJS.Timeout | undefined
  /** The next time that everything is read, other pod CIDRs count at once. */
  #believes = false
  #running: Promise<void> = Promise.resolve()

  constructor(input: ChangesInput) {
    this.#input = input
    this.#table.know(input.knownNodes)
  }

  /** undefined until everything has been read once. */
  get nodes(): ReadonlyMap<string, ClusterNode> | undefined {
    return this.#lastChange === undefined ? undefined : this.#table.nodes
  }

  get problems(): ViewProblem[] {
    return this.#table.problems
  }

  /** What Redis has of a node, as text. */
  textOf(name: string): string | undefined {
    return this.#table.textOf(name)
  }

  start(): void {
    this.#running = this.#follow()
  }

  async close(): Promise<void> {
    clearTimeout(this.#putBackTimer)
    clearTimeout(this.#believeTimer)
    this.#closing.abort()
    await this.#running
  }

  /** Notices what the stream cannot tell: that it is gone, or older than what we have; what somebody has set by hand. @throws RedisError */
  async look(): Promise<void> {
    if (this.#lastChange === undefined) return this.resync()
    const { store, nodeName, onOwnNews } = this.#input
    const { lastChange, nodes, own } = await store.pulse(nodeName)
    if (this.#own !== own) onOwnNews()
    this.#own = own
    const isOlder = isBefore(lastChange, this.#lastChange)
    const isOther = lastChange === this.#lastChange && nodes !== this.#table.size
    if (isOlder || isOther) await this.resync()
  }

  /** Reads everything anew. @throws RedisError */
  async resync(): Promise<void> {
    this.#resyncing ??= this.#readAll().finally(() => (this.#resyncing = undefined))
    return this.#resyncing
  }

  /** What nobody removed is put back as we last knew it. @throws RedisError */
  async putBack(): Promise<void> {
    clearTimeout(this.#putBackTimer)
    this.#putBackTimer = undefined
    await this.resync()
    const { store, nodeName, log, ranges } = this.#input
    for (const name of [...this.#table.missing]) {
      const node = this.#table.nodes.get(name)
      if (!node || name === nodeName || !this.#table.missing.has(name)) continue
      const { podCidrs, addresses } = node
      const wanted = indicesOf(ranges, podCidrs)
      const restored = { name, instance: '-', addresses, mode: 'restore', isPatient: false, wanted } as const
      const answer = wanted.includes('')
        ? ({ is: 'foreign' } as const) // somebody had written it by hand
        : await store.register({ ...restored, node: JSON.stringify(formatNodeObject(node)) })
      log.warn({ node: name, answer }, 'Redis had lost a node, which is put back if its pod CIDRs are still free')
      // Put back, it comes with the stream. What cannot be put back is somebody else's by now.
      if (answer.is !== 'ok') this.#take([[name, undefined]])
    }
    clearTimeout(this.#putBackTimer)
    this.#putBackTimer = undefined
  }

  async #readAll(): Promise<void> {
    const { store, nodeName, log, onLost } = this.#input
    const isFirst = this.#lastChange === undefined
    const told = JSON.stringify(this.problems)
    const { lastChange, nodes } = await store.snapshot()
    const doubted = isFirst || this.#believes ? new Map() : this.#table.renumbered(nodes)
    this.#believes = false
    if (doubted.size > 0) this.#believeLater([...doubted.keys()])
    const changed = this.#table.replace(new Map([...nodes, ...doubted]))
    const removed = await store.removedOf([...this.#table.missing].filter((name) => name !== nodeName))
    this.#lastChange = lastChange
    for (const name of this.#table.put([...removed].map((name) => [name, undefined] as const))) changed.add(name)
    const { size } = this.#table.missing
    if (size > 0) {
      log.warn({ nodes: size }, 'Redis has lost nodes that nobody removed; what was known of them stays in force')
      const { least, most } = PUT_BACK_MS
      this.#putBackTimer ??= setTimeout(() => this.putBack().catch(() => {}), least + Math.random() * (most - least))
    }
    if (isFirst || changed.size > 0 || JSON.stringify(this.problems) !== told) this.#input.onChange(changed)
    onLost()
  }

  /** A Redis that is older than what we have seen has other CIDRs for nodes that nobody removed: they say soon what is so. */
  #believeLater(names: readonly string[]): void {
    const shown = { count: names.length, first: names.slice(0, 5) }
    this.#input.log.warn(
      { nodes: shown },
      'Redis has other pod CIDRs for nodes, and nothing says why; waiting for their word',
    )
    this.#believeTimer ??= setTimeout(() => {
      this.#believeTimer = undefined
      this.#believes = true
      this.resync().catch(() => {}) // the next look reads everything, once Redis is back
    }, BELIEVE_AFTER_MS)
  }

  async #follow(): Promise<void> {
    const { signal } = this.#closing
    while (!signal.aborted) {
      try {
        await this.#readNext()
        this.#input.onTrouble(undefined)
      } catch (error) {
        if (signal.aborted) return
        if (!(error instanceof RedisError)) throw error
        if (this.#input.stream.isReady) this.#input.onTrouble(error.message)
        await delay(this.#input.stream.isReady ? RETRY_MS : AWAY_MS, undefined, { signal }).catch(() => {})
      }
    }
  }

  /** @throws RedisError */
  async #readNext(): Promise<void> {
    const { stream } = this.#input
    if (this.#lastChange === undefined) await this.resync()
    const after = this.#lastChange ?? '0-0'
    const answer = await stream.call('XREAD', 'COUNT', BATCH, 'BLOCK', BLOCK_MS, 'STREAMS', KEYS.changes, after)
    if (this.#lastChange !== after || answer === null) return // everything was read anew meanwhile, or nothing changed
    const [[, entries]] = answer as [[string, [string, string[]][]]]
    const texts: (readonly [string, string | undefined])[] = []
    let last = after
    for (const [id, fields] of entries) {
      const change = parseChange(fields)
      if (change?.after !== last) return this.resync()
      texts.push([change.name, change.node])
      last = id
    }
    this.#lastChange = last
    this.#take(texts)
  }

  #take(texts: readonly (readonly [string, string | undefined])[]): void {
    const { onChange, onLost, nodeName } = this.#input
    const changed = this.#table.put(texts)
    onChange(changed)
    if (texts.some(([name]) => name === nodeName)) onLost() // removed by force, or spoilt, while we run
  }
}

/** undefined: not one of ours. */
function parseChange(fields: readonly string[]): { name: string; after: string; node?: string } | undefined {
  const map = new Map<string, string>()
  for (let index = 0; index + 1 < fields.length; index += 2) map.set(fields[index] ?? '', fields[index + 1] ?? '')
  const [name, after, node] = [map.get('name'), map.get('after'), map.get('node')]
  return name === undefined || after === undefined ? undefined : { name, after, ...(node !== undefined && { node }) }
}

/** Stream ids, `1526919030474-55`, in their order. */
function isBefore(a: string, b: string): boolean {
  const [[aMs = 0n, aCount = 0n], [bMs = 0n, bCount = 0n]] = [a, b].map((id) => id.split('-').map(BigInt)) as [
    bigint[],
    bigint[],
  ]
  return aMs < bMs || (aMs === bMs && aCount < bCount)
}
