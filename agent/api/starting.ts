import { dirname, join } from 'node:path'
import type { Logger } from 'pino'
import { type Answer, STARTING_SOCKET } from '../../plugin/frame.ts'
import type { ViewProblem } from '../cluster/problem.ts'
import type { Options } from '../options.ts'
import { ApiServer } from './server.ts'
import type { Status } from './status.ts'

const NOT_YET: Answer = { exitCode: 1, body: Buffer.from('{"error":"the agent starts"}') }

/**
 * An agent that waits for its pod CIDR has nothing to serve, and the plugin had better find no agent: its DELs succeed
 * and are carried out later. But it can say what it waits for; its file goes with it, however it ends.
 */
export class Starting {
  readonly #server: ApiServer
  readonly #options: Options
  readonly #version: string
  #problems: readonly ViewProblem[] = []

  private constructor(server: ApiServer, options: Options, version: string) {
    this.#server = server
    this.#options = options
    this.#version = version
    process.once('exit', this.#end)
  }

  static async listen(options: Options, version: string, log: Logger): Promise<Starting> {
    const path = join(dirname(options.socket), STARTING_SOCKET)
    let starting: Starting | undefined
    const server = await ApiServer.listen(
      path,
      Promise.resolve(),
      async ({ body }) => starting?.answer(body.toString()) ?? NOT_YET,
      log,
    )
    starting = new Starting(server, options, version)
    return starting
  }

  /** What the agent waits for. */
  readonly tell = (problems: readonly ViewProblem[]): void => {
    this.#problems = problems
  }

  answer(call: string): Answer {
    const status = this.status()
    if (call === 'status') return { exitCode: 0, body: Buffer.from(JSON.stringify(status)) }
    return { exitCode: 1, body: Buffer.from(JSON.stringify({ error: status.problems.join('\n  ') })) }
  }

  status(): Status {
    const reasons = this.#problems.map(({ object, reason }) => `${object}: ${reason}`)
    return {
      version: this.#version,
      nodeName: this.#options.nodeName,
      pid: process.pid,
      uptimeSeconds: Math.round(process.uptime()),
      datastore: this.#options.datastore,
      podCidrs: [],
      mtuBytes: 0,
      pods: 0,
      policies: 0,
      peers: 0,
      callsUnderWay: 0,
      linksToDelete: 0,
      memoryRssBytes: process.memoryUsage.rss(),
      problems: ['the agent does not serve yet: it waits for its pod CIDR', ...reasons],
    }
  }

  readonly #end = (): void => {
    this.#server.close() // takes its file away at once
  }

  async close(): Promise<void> {
    process.off('exit', this.#end)
    await this.#server.close()
  }
}
