import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { connect } from 'node:net'
import { until } from './agent.ts'

/** Debian's redis-server on an address of this scratch node; it keeps nothing, and ends with the test. */
export class RedisServer {
  readonly #address: string
  readonly #port: number
  readonly #folder: string
  #child: ChildProcess | undefined

  constructor(address: string, port: number, folder: string) {
    this.#address = address
    this.#port = port
    this.#folder = folder
  }

  get url(): string {
    return `redis://${this.#address}:${this.#port}`
  }

  /** Empty, and waits until it answers. */
  async start(): Promise<void> {
    mkdirSync(this.#folder, { recursive: true })
    const options = ['--port', String(this.#port), '--bind', this.#address, '--dir', this.#folder, '--save', '']
    this.#child = spawn('setpriv', ['--pdeathsig', 'KILL', 'redis-server', ...options, '--protected-mode', 'no'], {
      stdio: 'ignore',
    })
    await until('Redis answers', () => this.#isThere(), 20_000)
  }

  async stop(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill(signal)
    await exited
  }

  #isThere(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect(this.#port, this.#address, () => {
        socket.destroy()
        resolve(true)
      })
      socket.on('error', () => resolve(false))
    })
  }
}
