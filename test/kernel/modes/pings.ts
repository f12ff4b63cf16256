import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { until } from '../agent.ts'

/** Fifty a second from one pod to another: what is not answered is known by its number. */
export class Pings {
  readonly #ping: ChildProcess
  readonly #answered = new Set<number>()

  private constructor(netns: string, address: string) {
    const ping = ['ping', '-n', '-i', '0.02', address]
    const args = ['--pdeathsig', 'KILL', 'nsenter', `--net=/run/netns/${netns}`, ...ping]
    this.#ping = spawn('setpriv', args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let rest = ''
    this.#ping.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        const [, number] = /icmp_seq=(\d+) ttl=/.exec(line) ?? []
        if (number) this.#answered.add(Number(number))
      }
    })
  }

  /** @returns when the first answers are back */
  static async start(netns: string, address: string): Promise<Pings> {
    const pings = new Pings(netns, address)
    await until(`${address} answers ${netns}`, () => pings.#answered.size > 10)
    return pings
  }

  /** Those that were sent before the last one that was answered. */
  async end(): Promise<{ readonly sent: number; readonly lost: readonly number[] }> {
    const soFar = this.#answered.size
    await until('some more answers are back', () => this.#answered.size > soFar + 10)
    this.#ping.kill('SIGINT')
    await once(this.#ping, 'close')
    const sent = Math.max(...this.#answered)
    const numbers = Array.from({ length: sent }, (_, index) => index + 1)
    return { sent, lost: numbers.filter((number) => !this.#answered.has(number)) }
  }
}
