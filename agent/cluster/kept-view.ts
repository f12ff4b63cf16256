import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import type { Logger } from 'pino'
import { formatNodeObject, parseNodeObject } from './node-object.ts'
import type { ClusterView } from './view.ts'

const FORMAT = 'bramble-view/1'

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
      return { nodes: new Map((nodes as unknown[]).map(parseNodeObject).map((node) => [node.name, node])) }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        this.#log.warn(
          { err: error },
          'the view of the cluster that was kept cannot be read; it is as if there were none',
        )
      return undefined
    }
  }

  /** Beside it, then in its place: half a view is none. */
  write(view: ClusterView): void {
    try {
      const text = JSON.stringify({ format: FORMAT, nodes: [...view.nodes.values()].map(formatNodeObject) })
      writeFileSync(`${this.#path}.new`, text, { mode: 0o600 })
      renameSync(`${this.#path}.new`, this.#path)
    } catch (error) {
      this.#log.warn({ err: error }, 'the view of the cluster cannot be kept; the next agent has to ask for it')
    }
  }
}
