import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { run } from '../test/kernel/scratch.ts'

/** A pod as the traffic sees it. */
export interface Pod {
  /** The name of its network namespace. */
  readonly netns: string
  readonly address: string
}

/** traffic.c, from pod to pod. */
export class Traffic {
  readonly #program: string
  readonly #port: string
  readonly #servers: ChildProcess[] = []

  constructor(program: string, port = 5201) {
    this.#program = program
    this.#port = String(port)
  }

  /** From now on the pod takes streams in, and answers. */
  async serve({ netns, address }: Pod): Promise<void> {
    const server = this.#spawn(netns, 'serve', address, this.#port)
    await firstLine(server)
    this.#servers.push(server)
  }

  /** @returns bytes per second that arrived */
  async stream(from: Pod, to: Pod, ms: number, bytesPerSecond = 0): Promise<number> {
    return Number(await this.#run(from, 'send', to.address, this.#port, String(ms), String(bytesPerSecond)))
  }

  /** @returns the median of round trips, in microseconds */
  async roundTrip(from: Pod, to: Pod, times: number): Promise<number> {
    return Number(await this.#run(from, 'ask', to.address, this.#port, String(times)))
  }

  /** @returns the median of connections with one round trip each, in microseconds */
  async call(from: Pod, to: Pod, times: number): Promise<number> {
    return Number(await this.#run(from, 'call', to.address, this.#port, String(times)))
  }

  /** Numbered datagrams. @returns how many were sent, and how many came */
  async datagrams(from: Pod, to: Pod, ms: number, perSecond: number): Promise<{ sent: number; arrived: number }> {
    const counter = this.#spawn(to.netns, 'count', to.address, this.#port)
    await firstLine(counter)
    const arrived = firstLine(counter)
    const sent = await this.#run(from, 'tick', to.address, this.#port, String(ms), String(perSecond))
    return { sent: Number(sent), arrived: Number(await arrived) }
  }

  /** How many TCP segments a pod has sent a second time so far. */
  async sentAgain({ netns }: Pod): Promise<number> {
    const lines = (await run('ip', 'netns', 'exec', netns, 'cat', '/proc/net/snmp')).split('\n')
    const [names = [], values = []] = lines.filter((line) => line.startsWith('Tcp: ')).map((line) => line.split(' '))
    return Number(values[names.indexOf('RetransSegs')])
  }

  close(): void {
    for (const server of this.#servers) server.kill()
  }

  #run({ netns }: Pod, ...args: readonly string[]): Promise<string> {
    return run('nsenter', `--net=/run/netns/${netns}`, this.#program, ...args)
  }

  #spawn(netns: string, ...args: readonly string[]): ChildProcess {
    return spawn('nsenter', [`--net=/run/netns/${netns}`, this.#program, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
  }
}

async function firstLine(child: ChildProcess): Promise<string> {
  if (!child.stdout) throw new Error('no output')
  const ended = once(child, 'exit').then(([code]) => Promise.reject(new Error(`traffic ended: ${code}`)))
  const [text] = await Promise.race([once(child.stdout, 'data'), ended])
  ended.catch(() => {}) // when it has said what it had to say
  return String(text).trim()
}
