import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Diagnosis } from '../../../agent/doctor/check.ts'
import { examine } from '../../../agent/doctor/doctor.ts'
import { version } from '../../../agent/version.ts'
import { ask } from '../../../ctl/ask.ts'
import { capture, type Output } from '../scratch.ts'

const VERSION = version()
export const BRAMBLECTL = fileURLToPath(new URL('../../../bin/bramblectl.ts', import.meta.url))

/** Files of the node that a test has other ones of than this machine. */
export const ROOT = '/run/root'

const SOCKET = '/run/bramble/agent.sock'

/** bramblectl, as people start it. */
export function doctor(...args: readonly string[]): Promise<Output> {
  return capture(process.execPath, [BRAMBLECTL, 'doctor', '--root', ROOT, ...args])
}

/** The same in this process, which is in the scratch node as well: where machines are slow, starting a program is most of it. */
export function diagnosed(socket = SOCKET): Promise<Diagnosis> {
  return examine({ ask: (call) => ask(socket, call), socket, version: VERSION, root: ROOT })
}

/** What bramblectl prints as JSON in a network namespace that is a node. */
export interface Printed extends Omit<Diagnosis, 'findings'> {
  readonly findings: readonly (Diagnosis['findings'][number] & { readonly commands: readonly string[] })[]
  readonly fixed?: readonly Fixed[]
}

export interface Fixed {
  readonly command: string
  readonly error?: string
}

/** @throws Error with what it said where that is no diagnosis */
export async function diagnosedOn(node: string, ...args: readonly string[]): Promise<Printed> {
  const command = [process.execPath, BRAMBLECTL, 'doctor', '-o', 'json', '--root', ROOT]
  const socket = `/run/bramble-${node}/agent.sock`
  const { stdout, stderr } = await capture('nsenter', [
    `--net=/run/netns/${node}`,
    ...command,
    '--socket',
    socket,
    ...args,
  ])
  try {
    return JSON.parse(stdout)
  } catch {
    throw new Error(`no diagnosis: ${stdout}${stderr}`)
  }
}

/** What `--fix` did, by its command. @throws Error with what it said */
export async function fixed(): Promise<readonly Fixed[]> {
  const { stdout, stderr } = await doctor('--fix', '--yes', '-o', 'json')
  try {
    return JSON.parse(stdout).fixed
  } catch {
    throw new Error(`no diagnosis: ${stdout}${stderr}`)
  }
}

const PROMPT = '[y/N]'

/**
 * `--fix` on a terminal, where somebody answers when asked, and not before.
 * @returns all that was on the terminal
 */
export function answered(answer: string): Promise<string> {
  const command = `${process.execPath} ${BRAMBLECTL} doctor --root ${ROOT} --fix`
  const child = spawn('script', ['-qec', command, '/dev/null'], { timeout: 60_000, killSignal: 'SIGKILL' })
  let screen = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const isAsked = !screen.includes(PROMPT)
    screen += text
    if (isAsked && screen.includes(PROMPT)) child.stdin.write(answer)
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (_code, signal) =>
      signal ? reject(new Error(`ended by ${signal}: ${screen}`)) : resolve(screen),
    )
  })
}

/** What one check found, with its commands. @throws Error where it could not be made */
export async function found(check: string) {
  const { findings, unknown } = await diagnosed()
  const reason = unknown.find((one) => one.check === check)
  if (reason) throw new Error(`${check} could not be made: ${reason.reason}`)
  return findings
    .filter((finding) => finding.check === check)
    .map((finding) => ({ ...finding, commands: finding.remedies.map(({ command }) => command) }))
}

/** What a person does who copies them. @throws Error when one fails */
export async function carryOut(commands: readonly string[]): Promise<void> {
  for (const command of commands) {
    const { exitCode, stderr } = await capture('sh', ['-c', command])
    if (exitCode !== 0) throw new Error(`${command}: exit ${exitCode}: ${stderr}`)
  }
}

export function putFile(path: string, content: string, mode = 0o644): void {
  mkdirSync(dirname(join(ROOT, path)), { recursive: true })
  writeFileSync(join(ROOT, path), content, { mode })
}
