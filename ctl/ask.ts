import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import type { ControlAnswers, ControlCall } from '../agent/api/control.ts'
import { ANSWER_HEADER_BYTES, decodeAnswer, encodeRequest, MAX_ANSWER_BYTES, STARTING_SOCKET } from '../plugin/frame.ts'
import type { Request } from './command.ts'
import { printableLines } from './printable.ts'

const TIMEOUT_MS = 15_000

/** The agent cannot be asked, or refused; the message says what to do. */
export class AskError extends Error {
  override readonly name = 'AskError'
  readonly code = 'ASK' as const
}

/** Asks the agent of this node, or the one that has yet to find its place. @throws AskError */
export async function ask<Call extends ControlCall>(
  socketPath: string,
  call: Call,
  { words = {}, body }: Request = {},
): Promise<ControlAnswers[Call]> {
  const text = body === undefined ? call : `${call}\n${body}`
  const request = encodeRequest({ kind: 'control', env: words, body: Buffer.from(text) })
  const starting = join(dirname(socketPath), STARTING_SOCKET)
  const path = !existsSync(socketPath) && existsSync(starting) ? starting : socketPath
  const bytes = await exchange(path, request)
  const answer = decodeAnswer(bytes)
  if (!answer) throw new AskError(`the agent on ${socketPath} ended in the middle of its answer; see its log`)
  const json = JSON.parse(answer.body.toString('utf8'))
  if (answer.exitCode !== 0) throw new AskError(printableLines(String(json.error)))
  return json
}

function exchange(socketPath: string, request: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let bytes = 0
    const socket = connect(socketPath, () => socket.write(request))
    socket.setTimeout(TIMEOUT_MS, () =>
      socket.destroy(new AskError(`the agent on ${socketPath} does not answer within ${TIMEOUT_MS / 1000} s`)),
    )
    socket.on('data', (chunk) => {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes > ANSWER_HEADER_BYTES + MAX_ANSWER_BYTES) socket.destroy(new AskError('the answer is too large'))
    })
    socket.on('error', (error) => reject(explain(error, socketPath)))
    socket.on('close', () => resolve(Buffer.concat(chunks)))
  })
}

function explain(error: NodeJS.ErrnoException, socketPath: string): Error {
  switch (error.code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new AskError(
        `no agent listens on ${socketPath}; is it running? try: systemctl status bramble-agent, or kubectl -n kube-system get pods -o wide`,
      )
    case 'EACCES':
      return new AskError(`${socketPath} is root's; try: sudo bramblectl …`)
    case 'EINVAL':
      return new AskError(`${socketPath} is too long for a socket (107 bytes, unix(7)): name a shorter path`)
    default:
      return error
  }
}
