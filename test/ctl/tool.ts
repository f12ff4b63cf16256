import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { decodeRequest, encodeAnswer, type Request } from '../../plugin/frame.ts'

export const BRAMBLECTL = fileURLToPath(new URL('../../bin/bramblectl.ts', import.meta.url))

/** The tool itself, as a child. */
export function run(args: readonly string[], env: Record<string, string> = {}, stdin = '') {
  const { promise, resolve, reject } = Promise.withResolvers<{
    exitCode: number | null
    stdout: string
    stderr: string
  }>()
  const child = spawn(process.execPath, [BRAMBLECTL, ...args], {
    env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE, ...env },
    timeout: 20_000,
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  child.stdin.on('error', () => {}) // it may end without reading it
  child.stdin.end(stdin)
  child.on('error', reject)
  child.on('close', (exitCode) => resolve({ exitCode, stdout, stderr }))
  return promise
}

/** A folder for a socket, wherever the project lies: a socket's path has 107 bytes at most, unix(7). */
export function shortDir(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'bramble-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/**
 * A stand-in for the agent that gives each call the answer it is told to; bytes are sent as they are.
 * @param heard where it puts down what it was asked
 */
export async function agent(
  t: Test,
  answers: Record<string, unknown>,
  { exitCode = 0, heard = [] as Request[] } = {},
): Promise<string> {
  const dir = shortDir(t)
  const socketPath = join(dir, 'agent.sock')
  const server = createServer((socket) => {
    socket.on('error', () => {})
    let bytes = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk])
      const request = decodeRequest(bytes)
      if (!request) return
      heard.push(request)
      const [call = ''] = request.body.toString().split('\n', 1)
      const answer = request.kind === 'control' ? answers[call] : undefined
      socket.end(
        Buffer.isBuffer(answer) ? answer : encodeAnswer({ exitCode, body: Buffer.from(JSON.stringify(answer)) }),
      )
    })
  }).listen(socketPath)
  t.teardown(() => server.close())
  await once(server, 'listening')
  return socketPath
}
