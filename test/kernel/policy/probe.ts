import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { capture, run } from '../scratch.ts'

const SOURCE = fileURLToPath(new URL('./probe.c', import.meta.url))
const PROGRAM = '/run/probe'
/** For so long nothing may come of what should be closed. */
const QUIET_MS = 250

export interface Listener {
  /** By its name; '' is the scratch node itself. */
  readonly netns: string
  readonly protocol: 'tcp' | 'udp' | 'sctp'
  readonly port: number
}

export interface Probe extends Listener {
  readonly address: string
  readonly expected: 'open' | 'closed'
}

/** What really came of it; `refused`: the packet came through, and nobody listened. */
export type Outcome = 'open' | 'closed' | 'refused'

let isCompiled: Promise<unknown> | undefined

function compile(): Promise<unknown> {
  isCompiled ??= run('cc', '-O1', '-o', PROGRAM, SOURCE)
  return isCompiled
}

/** Listens in all of these namespaces until the test ends, or until it is told to stop. */
export async function listen(listeners: readonly Listener[]): Promise<() => Promise<void>> {
  await compile()
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', PROGRAM, 'serve'], { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(listeners.map(({ netns, protocol, port }) => `${pathOf(netns)} ${protocol} ${port}\n`).join(''))
  await once(child.stdout, 'data')
  return async () => {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
}

/** All at the same time, with real sockets. */
export async function probe(probes: readonly Probe[]): Promise<Outcome[]> {
  await compile()
  const lines = probes.map(
    ({ netns, protocol, address, port, expected }) => `${pathOf(netns)} ${protocol} ${address} ${port} ${expected}\n`,
  )
  const { exitCode, stdout, stderr } = await capture(PROGRAM, ['ask', String(QUIET_MS)], lines.join(''))
  if (exitCode !== 0) throw new Error(`probe: ${stderr}`)
  return stdout.trim().split('\n') as Outcome[]
}

function pathOf(netns: string): string {
  return netns === '' ? '/proc/self/ns/net' : `/run/netns/${netns}`
}
