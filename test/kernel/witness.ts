import { type ChildProcess, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/**
 * What the other end of a flow sees of this one: witnesses answer on a TCP and a UDP port with the address and port from
 * which they were asked.
 */
const PORT = 4001
const ANSWER_WITHIN_MS = 2_000
const SCRIPT = fileURLToPath(import.meta.url)

/** As the witness sees it. */
export interface Seen {
  readonly address: string
  readonly port: number
}

/** Starts a witness in a network namespace, or on the node. @returns when it listens; what ends it */
export async function startWitness(netns: string | undefined, ...addresses: string[]): Promise<() => Promise<void>> {
  const child = spawnIn(netns, 'witness', ...addresses)
  await firstLine(child)
  return () => end(child)
}

/** A flow that stays open: each question goes over the same connection, or from the same port. */
export class Question {
  readonly #child: ChildProcess
  readonly #answers: AsyncIterator<string>

  /** @param the name of the asker's network namespace; undefined is the node */
  constructor(from: string | undefined, protocol: 'tcp' | 'udp', to: string) {
    this.#child = spawnIn(from, protocol, to)
    if (!this.#child.stdout) throw new Error('no output')
    this.#answers = createInterface(this.#child.stdout)[Symbol.asyncIterator]()
  }

  /** @returns undefined when no answer came in time */
  async ask(): Promise<Seen | undefined> {
    this.#child.stdin?.write('\n')
    const { value } = await this.#answers.next()
    return value ? JSON.parse(value) : undefined
  }

  end(): Promise<void> {
    return end(this.#child)
  }
}

/** Asks once. @returns the address that the witness saw; undefined when no answer came */
export async function seenBy(
  to: string,
  from: string | undefined,
  protocol: 'tcp' | 'udp' = 'tcp',
): Promise<string | undefined> {
  const question = new Question(from, protocol, to)
  const seen = await question.ask()
  await question.end()
  return seen?.address
}

function spawnIn(netns: string | undefined, ...args: string[]): ChildProcess {
  const node = [process.execPath, SCRIPT, ...args]
  const command = ['--pdeathsig', 'KILL', ...(netns ? ['nsenter', `--net=/run/netns/${netns}`, ...node] : node)]
  return spawn('setpriv', command, { stdio: ['pipe', 'pipe', 'inherit'] })
}

async function end(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

async function firstLine(child: ChildProcess): Promise<void> {
  if (!child.stdout) throw new Error('no output')
  await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`the witness ended: ${code}`))),
  ])
}

async function playWitness(addresses: readonly string[]): Promise<void> {
  const answer = (address = '', port = 0) => `${JSON.stringify({ address, port })}\n`
  for (const address of addresses) {
    const server = createServer((connection) => {
      const { remoteAddress, remotePort } = connection
      connection.on('data', () => connection.write(answer(remoteAddress, remotePort))).on('error', () => {})
    })
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
    socket.on('message', (_, { address, port }) => socket.send(answer(address, port), port, address))
    server.listen(PORT, address)
    socket.bind(PORT, address)
    await Promise.all([once(server, 'listening'), once(socket, 'listening')])
  }
  process.stdout.write('ready\n')
}

async function playAsker(protocol: string | undefined, to = ''): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const tell = (line: string) => {
    clearTimeout(timer)
    process.stdout.write(`${line.trimEnd()}\n`)
  }
  const questions = createInterface(process.stdin)
  if (protocol === 'tcp') {
    const connection = connect(PORT, to).on('error', () => {})
    connection.on('data', (bytes) => tell(bytes.toString()))
    questions.on('line', () => connection.write('?'))
  } else {
    const socket = createSocket(to.includes(':') ? 'udp6' : 'udp4')
    socket.on('message', (bytes) => tell(bytes.toString())).on('error', () => {})
    questions.on('line', () => socket.send('?', PORT, to))
  }
  questions.on('line', () => {
    timer = setTimeout(tell, ANSWER_WITHIN_MS, '')
  })
}

if (process.argv[1] === SCRIPT) {
  const [, , role, ...rest] = process.argv
  if (role === 'witness') await playWitness(rest)
  else await playAsker(role, rest[0])
}
