import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { until } from '../agent.ts'
import { inside } from '../cluster.ts'

const PORT = 8080
const FOLDER = '/run/www'

/** A web server in each of some pods, so that TCP has something to carry. */
export class Web {
  readonly #content: string
  readonly #servers: readonly ChildProcess[]

  private constructor(content: string, servers: readonly ChildProcess[]) {
    this.#content = content
    this.#servers = servers
  }

  static async serve(content: string, netnses: readonly string[]): Promise<Web> {
    mkdirSync(FOLDER, { recursive: true })
    writeFileSync(`${FOLDER}/content`, content)
    const httpd = ['busybox', 'httpd', '-f', '-p', String(PORT), '-h', FOLDER]
    const servers = netnses.map((netns) =>
      spawn('setpriv', ['--pdeathsig', 'KILL', 'nsenter', `--net=/run/netns/${netns}`, ...httpd], { stdio: 'ignore' }),
    )
    for (const netns of netnses)
      await until(`${netns} serves`, async () => (await inside(netns, 'ss', '-tln')).stdout.includes(`:${PORT} `))
    return new Web(content, servers)
  }

  /** Did all of it come, as it was? */
  async isServed(fromNetns: string, address: string): Promise<boolean> {
    const host = address.includes(':') ? `[${address}]` : address
    const command = ['busybox', 'wget', '-q', '-O', '-', `http://${host}:${PORT}/content`]
    const { exitCode, stdout } = await inside(fromNetns, ...command)
    return exitCode === 0 && stdout === this.#content
  }

  close(): void {
    for (const server of this.#servers) server.kill('SIGKILL')
  }
}
