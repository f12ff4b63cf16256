import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/**
 * A steady flow of numbered datagrams to an echo, some 200 a second: what does not come back is known by its number,
 * in whichever direction it was lost.
 */
const INTERVAL_MS = 5
/** Less than a socket's buffer holds: what a reader that had to wait for its turn did not take is not lost. */
const UNANSWERED_MAX = 100
const LAST_ANSWERS_MS = 5_000
const PORT = 4000
const SCRIPT = fileURLToPath(import.meta.url)

export interface Outcome {
  readonly sent: number
  readonly lost: readonly number[]
}

export class Flow {
  readonly #echo: ChildProcess
  readonly #sender: ChildProcess

  private constructor(echo: ChildProcess, sender: ChildProcess) {
    this.#echo = echo
    this.#sender = sender
  }

  /** @param from the sender's network namespace; undefined is the node. @returns when the first answers are back */
  static async start(from: string | undefined, to: string, address: string): Promise<Flow> {
    const echo = await spawnIn(to, 'echo', address)
    const sender = await spawnIn(from, 'send', address)
    return new Flow(echo, sender)
  }

  /** Ends the flow, waits for what is on the way, and counts. */
  async end(): Promise<Outcome> {
    let output = ''
    this.#sender.stdout?.setEncoding('utf8').on('data', (text: string) => (output += text))
    this.#sender.kill('SIGTERM')
    await once(this.#sender, 'close')
    this.#echo.kill('SIGKILL')
    return JSON.parse(output)
  }
}

async function spawnIn(netns: string | undefined, role: string, address: string): Promise<ChildProcess> {
  const node = [process.execPath, SCRIPT, role, address]
  const command = ['--pdeathsig', 'KILL', ...(netns ? ['nsenter', `--net=${netns}`, ...node] : node)]
  const child = spawn('setpriv', command, { stdio: ['ignore', 'pipe', 'inherit'] })
  await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`${role} ended: ${code}`))),
  ])
  return child
}

async function play(role: string | undefined, address: string): Promise<void> {
  const { createSocket } = await import('node:dgram')
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  if (role === 'echo') {
    socket.on('message', (bytes, { port, address }) => socket.send(bytes, port, address))
    socket.bind(PORT, address, () => process.stdout.write('ready\n'))
    return
  }
  const missing = new Set<number>()
  let sent = 0
  socket.once('message', () => process.stdout.write('\n'))
  socket.on('message', (bytes) => missing.delete(bytes.readUInt32BE(0)))
  const timer = setInterval(() => {
    if (missing.size >= UNANSWERED_MAX) return
    const bytes = Buffer.alloc(64)
    bytes.writeUInt32BE(sent)
    missing.add(sent++)
    socket.send(bytes, PORT, address, (error) => {
      if (error) process.stderr.write(`${address}: ${error.message}\n`) // missing, and so counted
    })
  }, INTERVAL_MS)
  process.once('SIGTERM', () => {
    clearInterval(timer)
    const deadlineMs = performance.now() + LAST_ANSWERS_MS
    setInterval(() => {
      if (missing.size > 0 && performance.now() < deadlineMs) return
      process.stdout.write(JSON.stringify({ sent, lost: [...missing] }), () => process.exit(0))
    }, INTERVAL_MS)
  })
}

if (process.argv[1] === SCRIPT) await play(process.argv[2], process.argv[3] ?? '')
