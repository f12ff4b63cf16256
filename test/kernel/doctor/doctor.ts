import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Severity } from '../../../agent/doctor/finding.ts'
import { capture, type Output } from '../scratch.ts'

const BRAMBLECTL = fileURLToPath(new URL('../../../bin/bramblectl.ts', import.meta.url))

/** As `-o json` prints it. */
export interface Printed {
  readonly findings: readonly {
    readonly check: string
    readonly severity: Severity
    readonly what: string
    readonly why: string
    readonly advice?: string
    readonly commands: readonly string[]
    readonly fixable: readonly string[]
  }[]
  readonly good: readonly string[]
  readonly unknown: readonly { readonly check: string; readonly reason: string }[]
  readonly fixed?: readonly { readonly command: string; readonly error?: string }[]
}

/** Files of the node that a test has other ones of than this machine. */
export const ROOT = '/run/root'

/** The real doctor, in this scratch node or in one of its network namespaces. */
export function doctor(netns: string | undefined, ...args: readonly string[]): Promise<Output> {
  const command = [process.execPath, BRAMBLECTL, 'doctor', '--root', ROOT, ...args]
  return netns ? capture('nsenter', [`--net=/run/netns/${netns}`, ...command]) : capture('env', command)
}

/** @throws Error with what it said where that is no diagnosis */
export async function diagnosed(netns?: string, ...args: readonly string[]): Promise<Printed> {
  const { stdout, stderr } = await doctor(netns, '-o', 'json', ...args)
  try {
    return JSON.parse(stdout)
  } catch {
    throw new Error(`no diagnosis: ${stdout}${stderr}`)
  }
}

/** What one check found. @throws Error where it could not be made */
export async function found(check: string, netns?: string, ...args: readonly string[]): Promise<Printed['findings']> {
  const { findings, unknown } = await diagnosed(netns, ...args)
  const reason = unknown.find((one) => one.check === check)
  if (reason) throw new Error(`${check} could not be made: ${reason.reason}`)
  return findings.filter((finding) => finding.check === check)
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
