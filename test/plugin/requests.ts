import { CniError } from '../../plugin/errors.ts'
import { type CniRequest, parseRequest } from '../../plugin/request.ts'

export type Env = Record<string, string>
type Config = Record<string, unknown>

export const ENV: Env = {
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/p',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin',
}
export const CONFIG: Config = { cniVersion: '1.1.0', name: 'pods', type: 'bramble' }
export const COMMANDS = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS'] as const
export const PREV_RESULT = { ips: [{ address: '10.42.0.2/32' }] }

/** A request that is right but for the given changes; a variable that is undefined is not set. */
export function parse(command: string, config: Config = {}, env: Record<string, string | undefined> = {}): CniRequest {
  const prevResult = command === 'CHECK' ? PREV_RESULT : undefined
  return parseText(command, JSON.stringify({ ...CONFIG, prevResult, ...config }), env)
}

export function parseText(
  command: string,
  stdin: string | Buffer,
  env: Record<string, string | undefined> = {},
): CniRequest {
  const all = Object.entries({ CNI_COMMAND: command, ...ENV, ...env })
  const set = all.filter((entry): entry is [string, string] => entry[1] !== undefined)
  return parseRequest(Object.fromEntries(set), Buffer.from(stdin))
}

/** What a runtime would be told. */
export function refusal(work: () => unknown): { code: number; message: string; details: string } | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    if (!(error instanceof CniError)) throw error
    return { code: error.code, message: error.message, details: error.details }
  }
}

export function configOf(request: CniRequest) {
  return request.config
}
