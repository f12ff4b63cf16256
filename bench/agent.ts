import type { ChildProcess } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { isReady } from './client.ts'
import type { Family } from './peers.ts'
import { spawnWithDisksReadOnly } from './read-only-disks.ts'

const POD_CIDRS = { IPv4: ['10.42.0.0/16'], 'dual-stack': ['10.42.0.0/16', 'fd42::/64'] }
/** A cluster of thousands is listed first; then STATUS waits for the routes. */
const READY_WITHIN_MS = 30_000

/** An agent under measurement. Every disk of the machine is read-only for it: what it writes, it writes to tmpfs. */
export interface Agent {
  readonly socket: string
  rssMib(): number
  /** The most that it ever was. */
  peakRssMib(): number
  /** What it has spent in user mode and in the kernel, all its threads together; in steps of 10 ms: proc_pid_stat(5). */
  cpuMs(): number
  /** How long the calls took that it has answered since it was asked last, by its own clock, in its order. */
  takeDurationsMs(): number[]
  /** Bytes that the kernel says it caused to be written to a disk since it started (proc_pid_io(5), write_bytes). */
  diskBytes(): number
  /** The end of its log. */
  said(): string
  /** When it logged these words, in milliseconds since 1970, in order. */
  saidAtMs(words: string): number[]
  stop(signal?: NodeJS.Signals): Promise<void>
}

/** How an agent that knows no other nodes is started. */
export function alone(family: Family): string[] {
  const cidrs = POD_CIDRS[family].flatMap((cidr) => ['--pod-cidr', cidr])
  return ['--datastore', 'local', '--node-name', 'n1', ...cidrs]
}

let started = 0

/**
 * Starts it and waits until it is ready to serve.
 * @param node the network namespace that is its node; the one of the bench where none is given
 * @param stateDir that of an agent before it; its own where none is given
 */
export async function startAgent(
  program: string,
  options: readonly string[],
  { node, stateDir = `/run/bench/agent-${process.pid}-${++started}` }: { node?: string; stateDir?: string } = {},
): Promise<Agent> {
  const socket = `${stateDir}/agent.sock`
  mkdirSync(stateDir, { recursive: true })
  const ioBefore = `${stateDir}.io`
  const logPath = `${stateDir}.log`
  const command = [...(node ? ['nsenter', `--net=${node}`] : []), program, ...options]
  const child = spawnWithDisksReadOnly([...command, '--socket', socket, '--state-dir', stateDir], ioBefore, logPath)
  const log = logReader(logPath)
  const startedMs = performance.now()
  while (!(await isReady(socket))) {
    if (child.exitCode !== null || performance.now() - startedMs > READY_WITHIN_MS) {
      child.kill('SIGKILL')
      throw new Error(`The agent did not become ready: ${log.said()}`)
    }
    await sleep(20)
  }
  return {
    socket,
    rssMib: () => numberIn(`/proc/${child.pid}/status`, /^VmRSS:\s*(\d+) kB/m) / 1024,
    peakRssMib: () => numberIn(`/proc/${child.pid}/status`, /^VmHWM:\s*(\d+) kB/m) / 1024,
    cpuMs: () => cpuMs(`/proc/${child.pid}/stat`),
    takeDurationsMs: log.takeDurationsMs,
    diskBytes: () => diskBytes(`/proc/${child.pid}/io`) - diskBytes(ioBefore),
    said: log.said,
    saidAtMs: log.saidAtMs,
    stop: (signal) => stop(child, signal),
  }
}

/** Its log is a file on tmpfs, so that nothing has to wake up and read along while it is measured. */
function logReader(path: string) {
  let taken = 0
  return {
    said: () => readFileSync(path, 'utf8').slice(-4000),
    takeDurationsMs: () => {
      const log = readFileSync(path, 'utf8')
      const durations = log.slice(taken).matchAll(/"durationMs":([\d.]+)/g)
      taken = log.length
      return Array.from(durations, ([, ms]) => Number(ms))
    },
    saidAtMs: (words: string) => {
      const lines = readFileSync(path, 'utf8')
        .split('\n')
        .filter((line) => line.includes(`"msg":"${words}"`))
      return lines.map((line) => JSON.parse(line).time as number)
    },
  }
}

function diskBytes(io: string): number {
  return numberIn(io, /^write_bytes: (\d+)/m)
}

function numberIn(path: string, pattern: RegExp): number {
  return Number(readFileSync(path, 'utf8').match(pattern)?.[1])
}

/** proc_pid_stat(5): utime and stime are the 14th and 15th field; a tick is 10 ms (USER_HZ). */
function cpuMs(stat: string): number {
  const fields = readFileSync(stat, 'utf8').split(') ').at(-1)?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * 10
}

function stop(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once('exit', () => resolve())
    child.kill(signal)
  })
}
