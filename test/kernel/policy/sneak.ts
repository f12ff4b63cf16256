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
export async function listenIn(netns: readonly string[]): Promise<Attempt> {
  const end = await listen(netns)
  return async () => (await end())[0]
}

/** @returns for how many milliseconds the way was open: from the first datagram to the last, by the kernel's clock */
export async function timeOpen(netns: readonly string[]): Promise<Attempt> {
  const end = await listen(netns)
  return async () => (await end())[1]
}

/** Sends to each address out of its network namespace, some 500 times a second. */
export async function flood(ways: readonly { readonly netns: string; readonly address: string }[]): Promise<Attempt> {
  const end = await attempt(
    'flood',
    ways.map(({ netns, address }) => `/run/netns/${netns} ${address}`),
  )
  return async () => (await end())[0]
}

function listen(netns: readonly string[]): Promise<() => Promise<Numbers>> {
  return attempt(
    'listen',
    netns.map((name) => `/run/netns/${name}`),
  )
}

type Numbers = readonly [number, number]

async function attempt(mode: string, lines: readonly string[]): Promise<() => Promise<Numbers>> {
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
    const [first, second] = said.split('\n')[1]?.split(' ') ?? []
    return [Number(first), Number(second)]
  }
}
