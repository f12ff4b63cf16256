import type { ChildProcess } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { isReady } from './client.ts'
import type { Family } from './peers.ts'
import { spawnWithDisksReadOnly } from './read-only-disks.ts'

const POD_CIDRS = { IPv4: ['10.42.0.0/16'], 'dual-stack': ['10.42.0.0/16', 'fd42::/64'] }

/** An agent under measurement. Every disk of the machine is read-only for it: what it writes, it writes to tmpfs. */
export interface Agent {
  readonly socket: string
  rssMib(): number
  /** How long the calls took that it has answered since it was asked last, by its own clock, in its order. */
  takeDurationsMs(): number[]
  /** Bytes that the kernel says it caused to be written to a disk since it started (proc_pid_io(5), write_bytes). */
  diskBytes(): number
  /** The end of its log. */
  said(): string
  stop(): Promise<void>
}

let started = 0

/** Starts it with a state directory of its own, and waits until it is ready to serve. */
export async function startAgent(program: string, family: Family): Promise<Agent> {
  const stateDir = `/run/bench/agent-${++started}`
  const socket = `${stateDir}/agent.sock`
  mkdirSync(stateDir)
  const cidrs = POD_CIDRS[family].flatMap((cidr) => ['--pod-cidr', cidr])
  const options = ['--datastore', 'local', '--node-name', 'n1', '--socket', socket, '--state-dir', stateDir]
  const ioBefore = `${stateDir}.io`
  const logPath = `${stateDir}.log`
  const child = spawnWithDisksReadOnly(program, [...options, ...cidrs], ioBefore, logPath)
  const log = logReader(logPath)
  for (let waitedMs = 0; !(await isReady(socket)); waitedMs += 20) {
    if (child.exitCode !== null || waitedMs > 10_000) throw new Error(`The agent did not become ready: ${log.said()}`)
    await sleep(20)
  }
  return {
    socket,
    rssMib: () => numberIn(`/proc/${child.pid}/status`, /^VmRSS:\s*(\d+) kB/m) / 1024,
    takeDurationsMs: log.takeDurationsMs,
    diskBytes: () => diskBytes(`/proc/${child.pid}/io`) - diskBytes(ioBefore),
    said: log.said,
    stop: () => stop(child),
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
  }
}

function diskBytes(io: string): number {
  return numberIn(io, /^write_bytes: (\d+)/m)
}

function numberIn(path: string, pattern: RegExp): number {
  return Number(readFileSync(path, 'utf8').match(pattern)?.[1])
}

function stop(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once('exit', () => resolve())
    child.kill('SIGTERM')
  })
}
