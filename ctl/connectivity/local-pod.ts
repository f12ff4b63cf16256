import { type ChildProcess, spawn } from 'node:child_process'
import { inNetns, inNewNetns, openNetns } from '../../agent/kernel/netns.ts'
import { callPlugin, type PluginResult } from './plugin-call.ts'
import { type Outcome, PROBES_VARIABLE, type Probe, parseOutcomes } from './probe.ts'

/** A process that does not even begin to serve in this time never will. */
const START_TIMEOUT_MS = 30_000

/** A throwaway pod cannot be made; the message says why. */
export class LocalPodError extends Error {
  override readonly name = 'LocalPodError'
  readonly code = 'LOCAL_POD' as const
}

/**
 * A pod without a runtime: a process of ours in a network namespace that has no name and ends with it, as it does when
 * this process ends, however that ends. So nothing can be left behind.
 */
export class LocalPod {
  readonly name: string
  readonly #plugin: string
  readonly #socket: string
  readonly #child: ChildProcess
  /** Those that are not done yet. */
  readonly #probing = new Set<ChildProcess>()
  /** What ADD gave it. */
  result: PluginResult = { ips: [], interfaces: [] }

  private constructor(name: string, plugin: string, socket: string, child: ChildProcess) {
    this.name = name
    this.#plugin = plugin
    this.#socket = socket
    this.#child = child
  }

  /** It has no network yet. @throws LocalPodError */
  static async start(name: string, plugin: string, socket: string): Promise<LocalPod> {
    const env = { ...process.env, BRAMBLE_CONNECTIVITY_NAME: name }
    // A child begins where the thread is that makes it.
    const child = inNewNetns(() =>
      spawn(process.execPath, [process.argv[1] ?? '', 'connectivity', 'serve', '--until-eof'], {
        env,
        stdio: ['pipe', 'pipe', 'inherit'],
      }),
    )
    const pod = new LocalPod(name, plugin, socket, child)
    try {
      await serving(child)
      return pod
    } catch (error) {
      pod.end()
      throw error
    }
  }

  get addresses(): string[] {
    return this.result.ips.map(({ address }) => address.replace(/\/\d+$/, ''))
  }

  get mtuBytes(): number | undefined {
    return this.result.interfaces.find(({ sandbox }) => sandbox === this.#netns)?.mtu
  }

  /** @throws PluginCallError */
  async add(): Promise<void> {
    this.result = await this.#call('ADD')
  }

  /** @throws PluginCallError */
  async check(): Promise<void> {
    await this.#call('CHECK')
  }

  /** Also of one that was never added. @throws PluginCallError */
  async del(): Promise<void> {
    await this.#call('DEL')
  }

  /** Probes from inside. */
  probe(probes: readonly Probe[]): Promise<Outcome[]> {
    const env = { ...process.env, [PROBES_VARIABLE]: JSON.stringify(probes) }
    const netns = openNetns(this.#netns)
    const child = inNetns(netns, () =>
      spawn(process.execPath, [process.argv[1] ?? '', 'connectivity', 'probe'], {
        env,
        stdio: ['ignore', 'pipe', 'inherit'],
      }),
    )
    netns.close()
    this.#probing.add(child)
    let log = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (log += text))
    return new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', () => {
        this.#probing.delete(child)
        resolve(parseOutcomes(log).outcomes)
      })
    })
  }

  /** With its namespace. */
  end(): void {
    for (const child of [this.#child, ...this.#probing]) child.kill('SIGKILL')
  }

  get #netns(): string {
    return `/proc/${this.#child.pid}/ns/net`
  }

  #call(command: 'ADD' | 'CHECK' | 'DEL'): Promise<PluginResult> {
    const prevResult = command === 'ADD' ? undefined : this.result
    return callPlugin(this.#plugin, command, {
      containerId: this.name,
      netns: this.#netns,
      socket: this.#socket,
      prevResult,
    })
  }
}

function serving(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new LocalPodError(`a process for a pod cannot be started: ${why}`))
    const timer = setTimeout(() => fail(`nothing comes within ${START_TIMEOUT_MS / 1000} s`), START_TIMEOUT_MS)
    child.once('error', ({ message }) => fail(message))
    child.once('close', (code, signal) => fail(`it ended with ${signal ?? code}`))
    child.stdin?.on('error', () => {})
    child.stdout?.once('data', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}
