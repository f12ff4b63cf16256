import { connect } from 'node:net'
import { type Answer, decodeAnswer, encodeRequest, type Request } from '../plugin/frame.ts'
import type { Command } from './peers.ts'
import { cniArgs, type Pod } from './pods.ts'

const CONFIG = Buffer.from(JSON.stringify({ cniVersion: '1.1.0', name: 'bramble', type: 'bramble' }))

/** @returns whether the agent says that it can serve; false too while nobody listens */
export async function isReady(socketPath: string): Promise<boolean> {
  try {
    return (await ask(socketPath, cniRequest({ CNI_COMMAND: 'STATUS' }))).answer.exitCode === 0
  } catch {
    return false
  }
}

/** @returns how long the agent took, in milliseconds: from the request on an open connection to the whole answer */
export async function callAgent(socketPath: string, command: Command, pod: Pod): Promise<number> {
  const env = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: pod.containerId,
    CNI_NETNS: pod.netns,
    CNI_IFNAME: 'eth0',
    CNI_ARGS: cniArgs(pod),
  }
  const { answer, tookMs } = await ask(socketPath, cniRequest(env))
  if (answer.exitCode !== 0) throw new Error(`${command} ${pod.netns}: ${answer.body}`)
  return tookMs
}

/** Calls for all pods, `atOnce` in flight. */
export async function callAgentForAll(socketPath: string, command: Command, pods: readonly Pod[], atOnce: number) {
  const waiting = pods.values()
  const work = async () => {
    for (const pod of waiting) await callAgent(socketPath, command, pod)
  }
  await Promise.all(Array.from({ length: atOnce }, work))
}

function cniRequest(env: Readonly<Record<string, string>>): Request {
  return { kind: 'cni', env, body: CONFIG }
}

/** One request on a connection of its own, which is open before the clock starts. */
function ask(socketPath: string, request: Request): Promise<{ answer: Answer; tookMs: number }> {
  const bytes = encodeRequest(request)
  return new Promise((resolve, reject) => {
    let startedMs = 0
    let arrived: Buffer = Buffer.alloc(0)
    const socket = connect(socketPath, () => {
      startedMs = performance.now()
      socket.write(bytes)
    })
    socket.on('data', (chunk) => {
      arrived = arrived.length === 0 ? chunk : Buffer.concat([arrived, chunk])
      const answer = decodeAnswer(arrived)
      if (!answer) return
      resolve({ answer, tookMs: performance.now() - startedMs })
      socket.destroy()
    })
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the agent hung up without an answer')))
  })
}
