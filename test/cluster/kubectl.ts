import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

const CALL_TIMEOUT_MS = 120_000

/** The program and its first arguments, as `KUBECTL` has them; whatever it speaks to is the cluster that is tried. */
export function kubectlCommand(): [string, ...string[]] {
  const [program = 'kubectl', ...first] = (process.env.KUBECTL ?? 'kubectl').split(' ')
  return [program, ...first]
}

/** @returns what it printed. @throws Error with what it said where it failed */
export async function kubectl(args: readonly string[], input = ''): Promise<string> {
  const [program, ...first] = kubectlCommand()
  const child = spawn(program, [...first, ...args], { stdio: 'pipe', timeout: CALL_TIMEOUT_MS })
  const said = { stdout: '', stderr: '' }
  child.stdout.on('data', (data) => (said.stdout += data))
  child.stderr.on('data', (data) => (said.stderr += data))
  child.stdin.on('error', () => {}) // it ended before it had read everything, and says why
  child.stdin.end(input)
  const code = await new Promise((resolve, reject) => child.on('close', resolve).on('error', reject))
  if (code === 0) return said.stdout
  throw new Error(`kubectl ${args.join(' ')}: ${said.stderr.trim() || `exit ${code}`}`)
}

/** An object, or a list of them, as the API has it. */
// biome-ignore lint/suspicious/noExplicitAny: whatever the API server says, read where it is needed
export async function get(...args: readonly string[]): Promise<any> {
  return JSON.parse(await kubectl(['get', '-o', 'json', ...args]))
}

/** Objects, made or brought up to date. */
export async function apply(...objects: readonly object[]): Promise<void> {
  await kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }))
}

/** Asks until it is so. @returns how many seconds it took. @throws Error with the last reason when it takes too long */
export async function until(what: string, isSo: () => Promise<boolean>, mostS = 120): Promise<number> {
  const startedMs = performance.now()
  const tookS = () => (performance.now() - startedMs) / 1000
  let reason: unknown
  while (tookS() < mostS) {
    try {
      if (await isSo()) return tookS()
      reason = undefined
    } catch (error) {
      reason = error
    }
    await sleep(100)
  }
  throw new Error(`after ${mostS} s it is still not so that ${what}`, { cause: reason })
}
