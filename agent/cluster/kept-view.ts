import type { Logger } from 'pino'
import { parseCidr } from '../../ipam/address.ts'
import { jsonPieces, KeptFile, type Lists } from './kept-file.ts'
import { formatNodeObject, parseNodeObject } from './node-object.ts'
import type { ClusterNode, ClusterView } from './view.ts'

/** The last view of the cluster, in a file on tmpfs. */
export class KeptView {
  readonly #file: KeptFile
  readonly #origin: string
  readonly #log: Logger

  /** @param origin where views come from: that of another cluster is none */
  constructor(path: string, origin: string, log: Logger) {
    this.#file = new KeptFile(path, 'bramble-view/1', 'the view of the cluster', log)
    this.#origin = origin
    this.#log = log
  }

  /** @returns undefined when there is none that can be read */
  read(): ClusterView | undefined {
    return this.#file.read(({ origin = [], nodes, serviceCidrs = [] }) => {
      const [from = this.#origin] = origin as unknown[]
      if (from !== this.#origin) throw new Error(`it is from ${from}, and not from ${this.#origin}`)
      const kept = (nodes as unknown[]).flatMap((object) => this.#readNode(object))
      const cidrs = (serviceCidrs as string[]).map(parseCidr)
      return {
        nodes: new Map(kept.map((node) => [node.name, node])),
        ...(cidrs.length > 0 && { serviceCidrs: cidrs }),
      }
    })
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

  write(view: ClusterView): void {
    this.#file.write(this.#listsOf(view))
  }

  async writeInTurns(view: ClusterView): Promise<void> {
    await this.#file.writeInTurns(this.#listsOf(view))
  }

  #listsOf({ nodes, serviceCidrs = [] }: ClusterView): Lists {
    return {
      origin: jsonPieces([this.#origin], (origin) => JSON.stringify(origin)),
      serviceCidrs: jsonPieces(serviceCidrs, ({ text }) => JSON.stringify(text)),
      nodes: jsonPieces([...nodes.values()], (node) => JSON.stringify(formatNodeObject(node))),
    }
  }
}
