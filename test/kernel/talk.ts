import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { until } from './agent.ts'

/**
 * A connection whose two ends both speak, some 50 times a second, and neither only because it was spoken to: as a server
 * that streams does, or a database.
 */
const INTERVAL_MS = 20
export const PORT = 4002
const SCRIPT = fileURLToPath(import.meta.url)

export interface Heard {
  readonly caller: number
  readonly called: number
}

export class Talk {
  readonly #caller: End
  readonly #called: End

  private constructor(caller: End, called: End) {
    this.#caller = caller
    this.#called = called
  }

  /**
   * @param from the caller's network namespace by name, as that of `to`; undefined is the node
   * @param via what the caller calls, where that is not the address that is listened on
   * @returns when both have heard something
   */
  static async start(
    protocol: 'tcp' | 'udp',
    from: string | undefined,
    to: string | undefined,
    address: string,
    via: { address: string; port: number } = { address, port: PORT },
  ): Promise<Talk> {
    const called = new End(to, 'listen', protocol, address, PORT)
    await called.isReady()
    const talk = new Talk(new End(from, 'call', protocol, via.address, via.port), called)
    await talk.goesOn()
    return talk
  }

  /** How much each has heard so far. */
  get heard(): Heard {
    return { caller: this.#caller.heard, called: this.#called.heard }
  }

  /** @throws Error when nothing more is heard, at either end */
  async goesOn(): Promise<void> {
    const before = this.heard
    await until('both hear more', () => this.heard.caller > before.caller + 2 && this.heard.called > before.called + 2)
  }

  async end(): Promise<void> {
    await Promise.all([this.#caller.end(), this.#called.end()])
  }
}

class End {
  readonly #child: ChildProcess
  readonly #ready: Promise<unknown>
  heard = 0

  constructor(netns: string | undefined, role: string, protocol: string, address: string, port: number) {
    const node = [process.execPath, SCRIPT, role, protocol, address, String(port)]
    const command = ['--pdeathsig', 'KILL', ...(netns ? ['nsenter', `--net=/run/netns/${netns}`, ...node] : node)]
    this.#child = spawn('setpriv', command, { stdio: ['ignore', 'pipe', 'inherit'] })
    if (!this.#child.stdout) throw new Error('no output')
    const lines = createInterface(this.#child.stdout)
    this.#ready = once(lines, 'line')
    lines.on('line', (line) => (this.heard = Number(line)))
  }

  async isReady(): Promise<void> {
    await this.#ready
  }

  async end(): Promise<void> {
    this.#child.kill('SIGKILL')
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit')
  }
}

async function play(role: string, protocol: string, address: string, port: number): Promise<void> {
  let heard = 0
  const tell = () => process.stdout.write(`${heard}\n`)
  const hear = (bytes: Uint8Array) => {
    heard += bytes.length
    tell()
  }
  if (protocol === 'tcp') {
    const { connect, createServer } = await import('node:net')
    const speak = (socket: import('node:net').Socket) => {
      socket
        .setNoDelay()
        .on('data', hear)
        .on('error', () => {})
      setInterval(() => socket.write('.'), INTERVAL_MS)
    }
    if (role === 'call') speak(connect(port, address))
    else createServer(speak).listen(port, address, tell)
    return
  }
  const { createSocket } = await import('node:dgram')
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4').on('message', hear)
  const speak = (port: number, address: string) => setInterval(() => socket.send('.', port, address), INTERVAL_MS)
  if (role === 'call') speak(port, address)
  else {
    socket.once('message', (_, { port, address }) => speak(port, address))
    socket.bind(port, address, tell)
  }
}

if (process.argv[1] === SCRIPT) {
  const [, , role = '', protocol = '', address = '', port] = process.argv
  await play(role, protocol, address, Number(port))
}
