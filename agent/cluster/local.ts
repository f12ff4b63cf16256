import { type FSWatcher, readdirSync, readFileSync, watch } from 'node:fs'
import { join } from 'node:path'
import type { Cidr } from '../../ipam/address.ts'
import { NodeObjectError, parseNodeObject } from './node-object.ts'
import type { ClusterNode, ClusterSource, ViewChange, ViewProblem } from './view.ts'

/** Editors write, rename and touch: one look after the last of it. */
const SETTLE_MS = 50
/** Where no watch is possible (network file systems tell nothing), and in case one is missed. */
const LOOK_EVERY_MS = 5_000

/** Documents of one file, as plain values. @throws Error with a message of one line */
export type ParseManifests = (text: string) => unknown[]

/**
 * The cluster from a folder of Kubernetes manifests: every Node in every YAML or JSON file. What a file said when it
 * could last be read stays in force while it cannot be.
 */
export class ManifestFolder implements ClusterSource {
  readonly #folder: string
  readonly #podCidrs: readonly Cidr[]
  readonly #parse: ParseManifests
  readonly #lastGood = new Map<string, readonly ClusterNode[]>()
  #watcher: FSWatcher | undefined
  #timer: NodeJS.Timeout | undefined
  #lastSaid = ''
  #isListed = false

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
      const { nodes, problems } = this.#read()
      // A Map says nothing to JSON.stringify, a list does; bigints become text.
      const said = JSON.stringify([nodes, problems], (_, value) => (typeof value === 'bigint' ? String(value) : value))
      const view = this.#isListed ? { nodes: new Map(nodes.map((node) => [node.name, node])) } : undefined
      if (said !== this.#lastSaid) onChange({ view, problems })
      this.#lastSaid = said
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

  #read(): { nodes: ClusterNode[]; problems: ViewProblem[] } {
    const problems: ViewProblem[] = []
    let names: string[] = []
    try {
      names = readdirSync(this.#folder).filter((name) => /^[^.].*\.(ya?ml|json)$/.test(name))
      this.#isListed = true
      for (const known of this.#lastGood.keys()) if (!names.includes(known)) this.#lastGood.delete(known)
    } catch (error) {
      problems.push({ object: this.#folder, reason: `cannot be read: ${(error as NodeJS.ErrnoException).code}` })
    }
    for (const name of names.sort()) {
      try {
        this.#lastGood.set(name, this.#readFile(name))
      } catch (error) {
        const kept = this.#lastGood.has(name) ? '; what it said before stays in force' : ''
        problems.push({ object: name, reason: `${(error as Error).message}${kept}` })
      }
    }
    return { nodes: distinct(this.#lastGood, problems), problems }
  }

  #readFile(name: string): ClusterNode[] {
    const documents = this.#parse(readFileSync(join(this.#folder, name), 'utf8'))
    const objects = documents.flatMap((document) => itemsOf(document))
    if (objects.length === 0) throw new NodeObjectError('is empty; write a file beside it and rename that')
    return objects.filter((object) => (object as { kind?: unknown } | null)?.kind === 'Node').map(parseNodeObject)
  }
}

/** A List holds objects; an empty document holds none. @throws NodeObjectError */
function itemsOf(document: unknown): unknown[] {
  if (document === null || document === undefined) return []
  const { kind, items } = document as { kind?: unknown; items?: unknown }
  if (kind === undefined) throw new NodeObjectError('a document without "kind": is this a Kubernetes manifest?')
  return String(kind).endsWith('List') && Array.isArray(items) ? items : [document]
}

/** Of two nodes with one name the first file's counts. */
function distinct(files: ReadonlyMap<string, readonly ClusterNode[]>, problems: ViewProblem[]): ClusterNode[] {
  const nodes = new Map<string, { node: ClusterNode; file: string }>()
  for (const [file, found] of [...files].sort(([a], [b]) => a.localeCompare(b)))
    for (const node of found) {
      const first = nodes.get(node.name)
      if (first) problems.push({ object: file, reason: `Node ${node.name} is in ${first.file} already, which counts` })
      else nodes.set(node.name, { node, file })
    }
  return [...nodes.values()].map(({ node }) => node)
}
