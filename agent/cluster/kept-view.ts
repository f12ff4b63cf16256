import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { setImmediate as turn } from 'node:timers/promises'
import type { Logger } from 'pino'
import { formatNodeObject, parseNodeObject } from './node-object.ts'
import type { ClusterNode, ClusterView } from './view.ts'

const FORMAT = 'bramble-view/1'
const MODE = 0o600
/** So many are less than a millisecond of work. */
const NODES_AT_ONCE = 100

/** The last view of the cluster, in a file on tmpfs. */
export class KeptView {
  readonly #path: string
  readonly #log: Logger

  constructor(path: string, log: Logger) {
    this.#path = path
    this.#log = log
  }

  /** @returns undefined when there is none that can be read */
  read(): ClusterView | undefined {
    try {
      const { format, nodes } = JSON.parse(readFileSync(this.#path, 'utf8'))
      if (format !== FORMAT) throw new Error(`its format is ${JSON.stringify(format)}, and not ${FORMAT}`)
      const kept = (nodes as unknown[]).flatMap((object) => this.#readNode(object))
      return { nodes: new Map(kept.map((node) => [node.name, node])) }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        this.#log.warn(
          { err: error },
          'the view of the cluster that was kept cannot be read; it is as if there were none',
        )
      return undefined
    }
  }

  /** What an older version took for a Node, this one may not: the others count. */
  #readNode(object: unknown): ClusterNode[] {
    try {
      return [parseNodeObject(object)]
    } catch (error) {
      this.#log.warn({ err: error }, 'a node of the view that was kept cannot be used')
      return []
    }
  }

  /** Beside it, then in its place: half a view is none. */
  write(view: ClusterView): void {
    try {
      writeFileSync(this.#unfinished, [...piecesOf(view)].join(''), { mode: MODE })
      renameSync(this.#unfinished, this.#path)
    } catch (error) {
      this.#failed(error)
    }
  }

  /** The same, but others have their turn meanwhile: thousands of nodes are tens of milliseconds of work. Never two at a time. */
  async writeInTurns(view: ClusterView): Promise<void> {
    try {
      const pieces: string[] = []
      for (const piece of piecesOf(view)) {
        pieces.push(piece)
        await turn()
      }
      await writeFile(this.#unfinished, pieces, { mode: MODE })
      await rename(this.#unfinished, this.#path)
    } catch (error) {
      this.#failed(error)
    }
  }

  get #unfinished(): string {
    return `${this.#path}.new`
  }

  #failed(error: unknown): void {
    this.#log.warn({ err: error }, 'the view of the cluster cannot be kept; the next agent has to ask for it')
  }
}

/** Of the JSON, one after the other. */
function* piecesOf({ nodes }: ClusterView): Generator<string> {
  const all = [...nodes.values()]
  yield `{"format":"${FORMAT}","nodes":[`
  for (let start = 0; start < all.length; start += NODES_AT_ONCE) {
    const some = all.slice(start, start + NODES_AT_ONCE).map((node) => JSON.stringify(formatNodeObject(node)))
    yield `${start > 0 ? ',' : ''}${some.join()}`
  }
  yield ']}'
}
