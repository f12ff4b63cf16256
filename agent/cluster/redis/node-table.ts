import { formatNodeObject, parseNodeObject } from '../node-object.ts'
import type { ViewProblem } from '../problem.ts'
import type { ClusterNode } from '../view.ts'

/**
 * The nodes as Redis has them, by name. What cannot be read is what it was before, and what Redis suddenly does not
 * have is kept as missing, until somebody who knows why says that it is gone.
 */
export class NodeTable {
  readonly #texts = new Map<string, string>()
  readonly #reasons = new Map<string, string>()
  readonly #missing = new Set<string>()
  #nodes: ReadonlyMap<string, ClusterNode> = new Map()

  /** A new one after each change; a node that did not change is the same object. */
  get nodes(): ReadonlyMap<string, ClusterNode> {
    return this.#nodes
  }

  /** Redis does not have them (any more), and nobody removed them. */
  get missing(): ReadonlySet<string> {
    return this.#missing
  }

  /** How many Redis has. */
  get size(): number {
    return this.#texts.size
  }

  get problems(): ViewProblem[] {
    return [...this.#reasons].map(([name, reason]) => ({ object: `Node ${name}`, reason }))
  }

  textOf(name: string): string | undefined {
    return this.#texts.get(name)
  }

  /** What was known before Redis was read for the first time: missing, unless Redis has it. */
  know(nodes: Iterable<ClusterNode>): void {
    this.#nodes = new Map(Array.from(nodes, (node) => [node.name, node]))
  }

  /**
   * Takes over what changed. @param texts by name; undefined: the node was removed
   * @returns the names whose nodes differ now
   */
  put(texts: Iterable<readonly [string, string | undefined]>): Set<string> {
    const nodes = new Map(this.#nodes)
    const changed = new Set<string>()
    for (const [name, text] of texts) {
      const before = nodes.get(name)
      if (text === undefined) this.#forget(name, nodes)
      else this.#read(name, text, nodes)
      if (nodes.get(name) !== before) changed.add(name)
    }
    if (changed.size > 0) this.#nodes = nodes
    return changed
  }

  /** Takes over everything; those that are not among it are missing now. @returns the names whose nodes differ */
  replace(texts: ReadonlyMap<string, string>): Set<string> {
    for (const name of this.#texts.keys())
      if (!texts.has(name)) {
        this.#texts.delete(name)
        this.#reasons.delete(name)
      }
    for (const name of this.#nodes.keys()) if (!texts.has(name)) this.#missing.add(name)
    return this.put(texts)
  }

  /** Those of them that are known with other pod CIDRs, with the text that they were known by. */
  renumbered(texts: ReadonlyMap<string, string>): Map<string, string> {
    const cidrsIn = (name: string, text: string) => {
      try {
        return cidrsOf(parse(name, text))
      } catch {
        return undefined // then it stays what it was
      }
    }
    const renumbered = new Map<string, string>()
    for (const [name, known] of this.#texts) {
      const [node, text = known] = [this.#nodes.get(name), texts.get(name)]
      const cidrs = node && text !== known ? cidrsIn(name, text) : undefined
      if (node && cidrs !== undefined && cidrs !== cidrsOf(node)) renumbered.set(name, known)
    }
    return renumbered
  }

  #forget(name: string, nodes: Map<string, ClusterNode>): void {
    this.#texts.delete(name)
    this.#reasons.delete(name)
    this.#missing.delete(name)
    nodes.delete(name)
  }

  #read(name: string, text: string, nodes: Map<string, ClusterNode>): void {
    this.#missing.delete(name)
    if (this.#texts.get(name) === text) return
    this.#texts.set(name, text)
    const before = nodes.get(name)
    try {
      const node = parse(name, text)
      this.#reasons.delete(name)
      if (!before || !isSame(before, node)) nodes.set(name, node)
    } catch (error) {
      const kept = before ? '; what it was before stays in force' : ''
      this.#reasons.set(name, `${(error as Error).message}${kept}`)
    }
  }
}

/** @throws NodeObjectError; Error with a message of one line */
function parse(name: string, text: string): ClusterNode {
  let object: unknown
  try {
    object = JSON.parse(text)
  } catch {
    throw new Error(`its value in Redis is ${JSON.stringify(text.slice(0, 40))}; JSON of a Node is expected`)
  }
  const node = parseNodeObject(object)
  if (node.name !== name) throw new Error(`its value in Redis says that it is Node ${node.name}`)
  return node
}

function cidrsOf({ podCidrs }: ClusterNode): string {
  return podCidrs.map(({ text }) => text).join()
}

function isSame(a: ClusterNode, b: ClusterNode): boolean {
  return JSON.stringify(formatNodeObject(a)) === JSON.stringify(formatNodeObject(b))
}
