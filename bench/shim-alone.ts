import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Lab } from './lab.ts'
import { bramble } from './peers.ts'
import { type Job, timeProcesses } from './processes.ts'
import { type Row, ratioRow } from './table.ts'

const TIMES = 400
const SOCKET = '/run/bench/answer.sock'

/** The plugin when the agent costs nothing: answer.c plays the agent. */
export async function shimAlone(lab: Lab): Promise<Row[]> {
  const { config, program, env } = bramble(lab.programs.shim, SOCKET)
  const nothing: Job = { input: config, program: '/bin/true', env: {} }
  const call: Job = { input: config, program, env: { ...env, CNI_COMMAND: 'STATUS' } }
  const version: Job = { input: config, program, env: { ...env, CNI_COMMAND: 'VERSION' } }
  const server = spawn(lab.programs.answer, [SOCKET], { stdio: 'inherit' })
  while (!existsSync(SOCKET)) await sleep(5)
  const turns = Array.from({ length: TIMES }, () => [nothing, call, version]).flat()
  const { ms } = await timeProcesses(lab.programs.spawn, turns, { atOnce: 1, pauseMs: 1 })
  server.kill()
  const each = (job: Job) => ms.filter((_, i) => turns[i] === job)
  const floor = { name: '/bin/true', samples: each(nothing) }
  return [
    ratioRow('shim, a call that is answered at once', 'ms', each(call), floor, 1.5),
    ratioRow('shim, VERSION (asks nobody)', 'ms', each(version), floor),
  ]
}
