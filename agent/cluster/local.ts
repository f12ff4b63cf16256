import { type FSWatcher, readdirSync, readFileSync, statSync, watch } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { Cidr } from '../../ipam/address.ts'
import { NodeObjectError, parseNodeObject } from './node-object.ts'
import type { ClusterNode, ClusterSource, ClusterView, ViewChange, ViewProblem } from './view.ts'

/** Editors write, rename and touch: one look after the last of it. */
const SETTLE_MS = 50
/** Where no watch is possible (network file systems tell nothing), and in case one is missed. */
const LOOK_EVERY_MS = 5_000
/** The clock of a file system may stand still for so long (FAT: two seconds), while a file changes and keeps its size. */
const FRESH_MS = 3_000

/** Documents of one file, as plain values. @throws Error with a message of one line */
export type ParseManifests = (text: string) => unknown[]

/** One file, as it was read last. */
interface Manifest {
  /** While it is the same, so is the file, if it was read long enough after the stamp was new; empty: to be read again. */
  readonly stamp: string
  /** When this stamp was seen first. */
  readonly stampedAtMs: number
  readonly readAtMs: number
  /** What it said when it could last be read; absent: it never could. */
  readonly nodes: readonly ClusterNode[] | undefined
  readonly problem: string | undefined
}

/**
 * The cluster from a folder of Kubernetes manifests: every Node in every YAML or JSON file. What a file said when it
 * could last be read stays in force while it cannot be. Only what has changed is read again.
 */
export class ManifestFolder implements ClusterSource {
  readonly #folder: string
  readonly #podCidrs: readonly Cidr[]
  readonly #parse: ParseManifests
  /** By name, in order. */
  #manifests: ReadonlyMap<string, Manifest> = new Map()
  /** undefined: the folder was never there. */
  #view: ClusterView | undefined
  #watcher: FSWatcher | undefined
  #timer: NodeJS.Timeout | undefined
  #lastSaid = ''

  constructor(folder: string, podCidrs: readonly Cidr[], parse: ParseManifests) {
    this.#folder = folder
    this.#podCidrs = podCidrs
    this.#parse = parse
  }

  async join(): Promise<readonly Cidr[]> {
    return this.#podCidrs
  }

  /** The folder is a person's: who wants to tell the others writes the manifest. */
  announce(): void {}

  start(onChange: (change: ViewChange) => void): void {
    const look = () => {
      const change = this.#look()
      if (change) onChange(change)
      this.#timer = setTimeout(look, LOOK_EVERY_MS).unref()
    }
    look()
    try {
      this.#watcher = watch(this.#folder, () => {
        clearTimeout(this.#timer)
        this.#timer = setTimeout(look, SETTLE_MS)
      })
      this.#watcher.on('error', () => {}).unref()
    } catch {
      // the folder is not there (yet): it is looked for every few seconds
    }
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#watcher?.close()
  }

  /** @returns undefined when there is nothing new */
  #look(): ViewChange | undefined {
    const problems: ViewProblem[] = []
    let isListed = this.#view !== undefined
    try {
      this.#manifests = this.#readFolder()
      isListed = true
    } catch (error) {
      problems.push({ object: this.#folder, reason: `cannot be read: ${(error as NodeJS.ErrnoException).code}` })
    }
    for (const [object, { problem }] of this.#manifests) if (problem) problems.push({ object, reason: problem })
    const nodes = distinct(this.#manifests, problems)
    const changed = differing(this.#view?.nodes ?? new Map(), nodes)
    const said = JSON.stringify(problems)
    const isNew = isListed && (!this.#view || changed.size > 0)
    if (!isNew && said === this.#lastSaid) return undefined
    if (isNew) this.#view = { nodes }
    this.#lastSaid = said
    return { view: this.#view, changed, problems }
  }

  #readFolder(): Map<string, Manifest> {
    const names = readdirSync(this.#folder).filter((name) => /^[^.].*\.(ya?ml|json)$/.test(name))
    return new Map(names.sort().map((name) => [name, this.#readFile(name, this.#manifests.get(name))]))
  }

  #readFile(name: string, before: Manifest | undefined): Manifest {
    const path = join(this.#folder, name)
    try {
      const stamp = stampOf(path)
      const isSame = before !== undefined && stamp === before.stamp
      if (isSame && before.readAtMs - before.stampedAtMs > FRESH_MS) return before
      const readAtMs = performance.now()
      const stampedAtMs = isSame ? before.stampedAtMs : readAtMs
      return { stamp, stampedAtMs, readAtMs, nodes: this.#parseNodes(path, before?.nodes ?? []), problem: undefined }
    } catch (error) {
      const kept = before?.nodes ? '; what it said before stays in force' : ''
      return {
        stamp: '',
        stampedAtMs: 0,
        readAtMs: 0,
        nodes: before?.nodes,
        problem: `${(error as Error).message}${kept}`,
      }
    }
  }

  /** @param before of which those that are equal stay the same */
  #parseNodes(path: string, before: readonly ClusterNode[]): ClusterNode[] {
    const documents = this.#parse(readFileSync(path, 'utf8'))
    const objects = documents.flatMap((document) => itemsOf(document))
    if (objects.length === 0) throw new NodeObjectError('is empty; write a file beside it and rename that')
    const known = new Map(before.map((node) => [node.name, node]))
    return objects
      .filter((object) => (object as { kind?: unknown } | null)?.kind === 'Node')
      .map((object) => {
        const node = parseNodeObject(object)
        const same = known.get(node.name)
        return same && isDeepStrictEqual(same, node) ? same : node
      })
  }
}

/** @throws SystemError, NodeObjectError */
function stampOf(path: string): string {
  const stats = statSync(path)
  if (!stats.isFile()) throw new NodeObjectError('is no file') // a pipe would be waited for, and the agent with it
  const { dev, ino, size, ctimeMs } = stats
  return `${dev} ${ino} ${size} ${ctimeMs}`
}

/** A List holds objects; an empty document holds none. @throws NodeObjectError */
function itemsOf(document: unknown): unknown[] {
  if (document === null || document === undefined) return []
  const { kind, items } = document as { kind?: unknown; items?: unknown }
  if (kind === undefined) throw new NodeObjectError('a document without "kind": is this a Kubernetes manifest?')
  return String(kind).endsWith('List') && Array.isArray(items) ? items : [document]
}

/** Of two nodes with one name the first file's counts. */
function distinct(manifests: ReadonlyMap<string, Manifest>, problems: ViewProblem[]): Map<string, ClusterNode> {
  const nodes = new Map<string, ClusterNode>()
  const files = new Map<string, string>()
  for (const [file, { nodes: found = [] }] of manifests)
    for (const node of found) {
      const first = files.get(node.name)
      if (first !== undefined)
        problems.push({ object: file, reason: `Node ${node.name} is in ${first} already, which counts` })
      else {
        nodes.set(node.name, node)
        files.set(node.name, file)
      }
    }
  return nodes
}

function differing(before: ReadonlyMap<string, ClusterNode>, after: ReadonlyMap<string, ClusterNode>): Set<string> {
  return new Set([...before.keys(), ...after.keys()].filter((name) => before.get(name) !== after.get(name)))
}
