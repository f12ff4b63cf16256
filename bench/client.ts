import { connect, type Socket } from 'node:net'
import { type Answer, decodeAnswer, encodeRequest, type Request } from '../plugin/frame.ts'
import type { Command } from './peers.ts'
import type { Pod } from './pods.ts'

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
    CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=bench;K8S_POD_NAME=pod',
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

async function ask(socketPath: string, request: Request): Promise<{ answer: Answer; tookMs: number }> {
  const socket = await open(socketPath)
  try {
    const bytes = encodeRequest(request)
    const startedMs = performance.now()
    socket.write(bytes)
    const answer = await readAnswer(socket)
    return { answer, tookMs: performance.now() - startedMs }
  } finally {
    socket.destroy()
  }
}

function open(socketPath: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath, () => resolve(socket)).once('error', reject)
  })
}

async function readAnswer(socket: Socket): Promise<Answer> {
  let bytes: Buffer = Buffer.alloc(0)
  for await (const chunk of socket) {
    bytes = Buffer.concat([bytes, chunk])
    const answer = decodeAnswer(bytes)
    if (answer) return answer
  }
  throw new Error('the agent hung up without an answer')
}
