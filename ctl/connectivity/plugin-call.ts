import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** As far as we read it. */
export interface PluginResult {
  readonly ips: readonly { readonly address: string }[]
  readonly interfaces: readonly { readonly sandbox?: string; readonly mtu?: number }[]
}

/** The plugin is not there, or refused; the message has its words. */
export class PluginCallError extends Error {
  override readonly name = 'PluginCallError'
  readonly code = 'PLUGIN_CALL' as const
}

export interface PluginCall {
  readonly containerId: string
  readonly netns: string
  /** The agent's. */
  readonly socket: string
  readonly prevResult?: PluginResult | undefined
}

/** The plugin waits for an agent that restarts, and no longer than this. */
const TIMEOUT_MS = 60_000
const WHERE = ['/opt/cni/bin/bramble', '/usr/lib/cni/bramble', '/usr/libexec/cni/bramble']

/** The one that the runtime starts, or the one that came with this program. @throws PluginCallError */
export function findPlugin(): string {
  const beside = join(dirname(process.argv[1] ?? ''), '../bin/bramble')
  const found = [...WHERE, beside].find((path) => existsSync(path))
  if (found) return found
  throw new PluginCallError(`the plugin is not there (${WHERE.join(', ')}); name it: --plugin FILE`)
}

/** As a container runtime does it. @throws PluginCallError */
export async function callPlugin(
  plugin: string,
  command: 'ADD' | 'CHECK' | 'DEL',
  { containerId, netns, socket, prevResult }: PluginCall,
): Promise<PluginResult> {
  const env = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: containerId,
    CNI_NETNS: netns,
    CNI_IFNAME: 'eth0',
    CNI_PATH: dirname(plugin),
    BRAMBLE_SOCKET: socket,
  }
  const config = {
    cniVersion: '1.1.0',
    name: 'bramble-connectivity-test',
    type: 'bramble',
    ...(prevResult && { prevResult }),
  }
  const { exitCode, stdout } = await run(plugin, env, JSON.stringify(config))
  if (exitCode === 0)
    return stdout === '' ? { ips: [], interfaces: [] } : { ips: [], interfaces: [], ...JSON.parse(stdout) }
  throw new PluginCallError(`${command}: ${wordsOf(stdout) || `${plugin} ended with ${exitCode}`}`)
}

function run(
  plugin: string,
  env: NodeJS.ProcessEnv,
  stdin: string,
): Promise<{ exitCode: number | string; stdout: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(plugin, [], {
      env,
      stdio: ['pipe', 'pipe', 'ignore'],
      timeout: TIMEOUT_MS,
      killSignal: 'SIGKILL',
    })
    let stdout = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stdin.on('error', () => {}) // it may end without reading it
    child.stdin.end(stdin)
    child.on('error', (error) =>
      reject(new PluginCallError(`${plugin} cannot be started: ${error.message}`, { cause: error })),
    )
    child.on('close', (code, signal) => resolve({ exitCode: signal ?? code ?? 0, stdout }))
  })
}

/** Of an error as CNI prints it. */
function wordsOf(stdout: string): string {
  try {
    const { msg, details } = JSON.parse(stdout)
    return [msg, details].filter((text) => typeof text === 'string' && text !== '').join(': ')
  } catch {
    return stdout.trim()
  }
}
