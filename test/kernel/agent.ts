import { type ChildProcess, spawn } from 'node:child_process'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { ControlAnswers, ControlCall } from '../../agent/api/control.ts'
import { type Answer, decodeAnswer, encodeRequest, type Kind } from '../../plugin/frame.ts'

export const AGENT = fileURLToPath(new URL('../../bin/bramble-agent.ts', import.meta.url))
const START_TIMEOUT_MS = 60_000

export interface AgentSettings {
  /** Besides node name, pod CIDRs and state directory. */
  readonly args?: readonly string[]
  readonly podCidrs?: readonly string[]
  readonly stateDir?: string
  readonly nodeName?: string
  /** The name of a network namespace that is the node; the scratch node itself without it. */
  readonly netns?: string
  readonly env?: Readonly<Record<string, string>>
}

/** A real bramble-agent, as a child process in this scratch node. */
export class Agent {
  readonly child: ChildProcess
  readonly socket: string
  /** All that it logged, as parsed JSON lines. */
  readonly log: Record<string, unknown>[] = []
  stderr = ''

  readonly #ended: Promise<number | string | null>

  private constructor(child: ChildProcess, socket: string) {
    this.child = child
    this.socket = socket
    // Not 'exit': that comes before its last words are read.
    this.#ended = new Promise((resolve) => child.once('close', (code, signal) => resolve(signal ?? code)))
  }

  /** Starts one and waits until it serves. @throws Error with its output when it does not */
  static async start(settings: AgentSettings = {}): Promise<Agent> {
    const agent = Agent.spawn(settings)
    await agent.ready()
    return agent
  }

  static spawn(settings: AgentSettings = {}): Agent {
    const { args = [], podCidrs = ['10.42.0.0/24', 'fd42::/64'], nodeName = 'n1', netns, env } = settings
    const dir = settings.stateDir ?? '/run/bramble'
    // Ends with the test, however that ends.
    const child = spawn(
      'setpriv',
      [
        '--pdeathsig',
        'KILL',
        ...(netns ? ['nsenter', `--net=/run/netns/${netns}`] : []),
        process.execPath,
        AGENT,
        '--node-name',
        nodeName,
        '--state-dir',
        dir,
        ...podCidrs.map((cidr) => `--pod-cidr=${cidr}`),
        ...args,
      ],
      { env: { NODE_COMPILE_CACHE: '/run/compile-cache', ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] },
    )
    const agent = new Agent(child, `${dir}/agent.sock`)
    let rest = ''
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) agent.log.push(JSON.parse(line))
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (agent.stderr += text))
    return agent
  }

  async ready(): Promise<void> {
    const deadlineMs = performance.now() + START_TIMEOUT_MS
    while (!this.log.some(({ msg }) => msg === 'ready')) {
      if (this.child.exitCode !== null || this.child.signalCode !== null || performance.now() > deadlineMs)
        throw new Error(`the agent did not start: ${this.stderr}${JSON.stringify(this.log.slice(-3))}`)
      await sleep(5)
    }
  }

  /** What `bramblectl` asks. @throws Error with the agent's refusal */
  async ask<Call extends ControlCall>(call: Call): Promise<ControlAnswers[Call]> {
    const answer = await exchange(this.socket, 'control', {}, call)
    const json = JSON.parse(answer.body.toString())
    if (answer.exitCode !== 0) throw new Error(json.error)
    return json
  }

  /** @returns how it ended: exit code or signal */
  stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | string | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal)
    return this.#ended
  }

  /** Waits for an agent that ends by itself, and for all that it said. */
  ended(): Promise<number | string | null> {
    return this.#ended
  }
}

/** One request as the plugin sends it. @throws Error when the connection ends without an answer */
export function exchange(
  socketPath: string,
  kind: Kind,
  env: Readonly<Record<string, string>>,
  body: string,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const socket = connect(socketPath, () => socket.write(encodeRequest({ kind, env, body: Buffer.from(body) })))
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('error', reject)
    socket.on('close', () => {
      const answer = decodeAnswer(Buffer.concat(chunks))
      if (answer) resolve(answer)
      else reject(new Error('the agent closed the connection without an answer'))
    })
  })
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/**
 * Waits until something is true. The time is far above what it takes on a machine that has nothing else to do: others
 * may keep this one busy. @throws Error that names it when it is not within the time
 */
export async function until(what: string, isTrue: () => Promise<boolean> | boolean, timeoutMs = 60_000): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs
  for (;;) {
    const askedAtMs = performance.now()
    if (await isTrue()) return
    const answeredAtMs = performance.now()
    if (answeredAtMs > deadlineMs) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    // Where asking is work (a dozen processes, an emulated machine), what is waited for needs the processors more.
    await sleep(Math.min(500, Math.max(10, answeredAtMs - askedAtMs)))
  }
}
