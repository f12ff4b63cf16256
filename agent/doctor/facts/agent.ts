import { accessSync, constants, existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { STARTING_SOCKET } from '../../../plugin/frame.ts'
import type { ControlAnswers, ControlCall } from '../../api/control.ts'
import type { AgentState } from '../facts.ts'
import type { Places } from '../places.ts'
import { lastWordsOf, runnerOf } from './log.ts'

/** How the agent is asked; it throws an Error that says why it cannot be. */
export type Ask = <Call extends ControlCall>(call: Call) => Promise<ControlAnswers[Call]>

export async function agent(places: Places, ask: Ask, socket: string): Promise<AgentState> {
  const pendingDels = places.list(join(dirname(socket), 'pending')).length
  try {
    const answers = await answersOf(ask, existsSync(socket))
    return { answers, podCidrs: answers.podCidrs, refusal: '', isForbidden: false, ...silent(places), pendingDels }
  } catch (error) {
    const isForbidden = isClosed(socket)
    const log = isForbidden ? silent(places) : await lastWordsOf(places)
    const podCidrs = await configuredCidrs(places)
    return { answers: undefined, podCidrs, refusal: (error as Error).message, isForbidden, ...log, pendingDels }
  }
}

/** Three of them in the time that a fact may take. */
const ANSWER_MS = 4_000

const silent = (places: Places) => ({ lastWords: [], ...runnerOf(places) })

async function answersOf(ask: Ask, isServing: boolean): Promise<NonNullable<AgentState['answers']>> {
  const { version, podCidrs, problems, pid, detail } = await inTime(ask('status'))
  const rulesRepaired = (detail?.repairs ?? []).filter(({ loop }) => loop === 'policies')
  // One of another version may not know what this one asks.
  const peers = isServing ? await inTime(ask('nodes')).catch(() => []) : []
  const differences = isServing ? await inTime(ask('ipam check')).catch(() => []) : []
  const clockAheadSeconds = detail?.source.clockAheadSeconds
  return {
    ...{ version, isServing, podCidrs, problems, rulesRepaired, pid, peers, differences },
    ...(clockAheadSeconds !== undefined && { clockAheadSeconds }),
  }
}

/** @throws Error when the agent is there, and says nothing */
async function inTime<T>(answer: Promise<T>): Promise<T> {
  const late = sleep(ANSWER_MS, undefined, { ref: false }).then(() => {
    throw new Error(
      `it does not answer within ${ANSWER_MS / 1000} s; has it been stopped, or is the node out of memory?`,
    )
  })
  return await Promise.race([answer, late])
}

/** Its folder, or the socket itself, lets root in alone. */
function isClosed(socket: string): boolean {
  const paths = [socket, join(dirname(socket), STARTING_SOCKET)].filter((path) => existsSync(path))
  try {
    for (const path of paths.length > 0 ? paths : [dirname(socket)]) accessSync(path, constants.W_OK | constants.R_OK)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES'
  }
}

/** While the agent is away, its file tells which addresses pods would get. */
async function configuredCidrs(places: Places): Promise<readonly string[]> {
  const text = places.read('/etc/bramble/agent.yaml')
  if (text === undefined) return []
  const { default: yaml } = await import('yaml') // 1.5 MiB, and seldom
  const document = yaml.parseDocument(text)
  if (document.errors.length > 0) return [] // the agent's last words say so
  const given = (document.toJS() as { 'pod-cidr'?: unknown } | null)?.['pod-cidr']
  return [given].flat().filter((cidr) => typeof cidr === 'string')
}
