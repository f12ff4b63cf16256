import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { run } from '../scratch.ts'

const SOURCE = fileURLToPath(new URL('./sneak.c', import.meta.url))
const PROGRAM = '/run/sneak'
let isCompiled: Promise<unknown> | undefined

/** What tries until it is stopped; stopping it again does nothing. @returns how many datagrams it heard, or could send */
export type Attempt = () => Promise<number>

/** Counts the datagrams that come to port 80 in all of these network namespaces. */
export function listenIn(netns: readonly string[]): Promise<Attempt> {
  return attempt(
    'listen',
    netns.map((name) => `/run/netns/${name}`),
  )
}

/** Sends to each address out of its network namespace, some 500 times a second. */
export function flood(ways: readonly { readonly netns: string; readonly address: string }[]): Promise<Attempt> {
  return attempt(
    'flood',
    ways.map(({ netns, address }) => `/run/netns/${netns} ${address}`),
  )
}

async function attempt(mode: string, lines: readonly string[]): Promise<Attempt> {
  isCompiled ??= run('cc', '-O1', '-o', PROGRAM, SOURCE)
  await isCompiled
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', PROGRAM, mode], { stdio: ['pipe', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  child.stdin.end(`${lines.join('\n')}\n`)
  const closed = once(child, 'close')
  await once(child.stdout, 'data')
  return async () => {
    child.kill('SIGTERM')
    await closed
    return Number(said.split('\n')[1])
  }
}
