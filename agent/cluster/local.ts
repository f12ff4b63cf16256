import { type FSWatcher, readdirSync, readFileSync, statSync, watch } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { Cidr } from '../../ipam/address.ts'
import { NodeObjectError, parseNodeObject } from './node-object.ts'
import type { ViewProblem } from './problem.ts'
import type { ClusterNode, ClusterSource, ClusterView, ViewChange } from './view.ts'

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
  /** In which file each node is. */
  readonly #homes = new Map<string, string>()
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
      const { code } = error as NodeJS.ErrnoException
      const meanwhile = isListed ? 'what it said before stays in force' : 'waiting for it'
      problems.push({ object: this.#folder, reason: `cannot be read: ${code}; ${meanwhile}` })
    }
    for (const [object, { problem }] of this.#manifests) if (problem) problems.push({ object, reason: problem })
    const nodes = distinct(this.#manifests, this.#homes, problems)
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

/**
 * Of two nodes with one name that counts which was there before: a copied file must not take a node's pods away. Of two
 * new ones the first file's does.
 * @param homes the file of each node, as it was; and as it is when this returns
 */
function distinct(
  manifests: ReadonlyMap<string, Manifest>,
  homes: Map<string, string>,
  problems: ViewProblem[],
): Map<string, ClusterNode> {
  const files = new Map<string, Map<string, ClusterNode>>()
  for (const [file, { nodes = [] }] of manifests)
    for (const node of nodes) {
      const found = files.get(node.name) ?? new Map<string, ClusterNode>()
      files.set(node.name, found)
      if (found.has(file)) problems.push({ object: file, reason: `has Node ${node.name} twice; the first one counts` })
      else found.set(file, node)
    }
  const nodes = new Map<string, ClusterNode>()
  for (const [name, found] of files) {
    const former = homes.get(name) ?? ''
    const [first = ''] = found.keys()
    const home = found.has(former) ? former : first
    for (const file of found.keys())
      if (file !== home)
        problems.push({ object: file, reason: `Node ${name} is in ${home} already, which counts; remove one of them` })
    const node = found.get(home)
    if (node) nodes.set(name, node)
    homes.set(name, home)
  }
  for (const name of homes.keys()) if (!files.has(name)) homes.delete(name)
  return nodes
}

function differing(before: ReadonlyMap<string, ClusterNode>, after: ReadonlyMap<string, ClusterNode>): Set<string> {
  return new Set([...before.keys(), ...after.keys()].filter((name) => before.get(name) !== after.get(name)))
}
