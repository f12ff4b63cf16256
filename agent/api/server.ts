import { chmodSync, lstatSync, mkdirSync, rmSync, statSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { dirname } from 'node:path'
import type { Logger } from 'pino'
import { CNI_ERROR, CniError } from '../../plugin/errors.ts'
import {
  type Answer,
  decodeRequest,
  encodeAnswer,
  REQUEST_HEADER_BYTES,
  type Request,
  requestBytes,
} from '../../plugin/frame.ts'
import { faultPoint } from '../fault.ts'
import { peerUid } from './peer.ts'

/** A caller that connects and does not send its request in this time is let go. */
const REQUEST_TIMEOUT_MS = 10_000
/** Far above what a node's runtime has open at once; further callers are let go, and try again. */
const CONNECTIONS_MAX = 1024
/** How often the agent looks whether its socket is still there: well within the time that the plugin waits. */
const LOOK_EVERY_MS = 1_000

/** The reason of an ADD that is undone because its caller was killed. */
const GONE = new CniError(CNI_ERROR.tryAgainLater, 'the plugin that asked for it is gone; all of it was undone')

export type Handler = (request: Request, gone: AbortSignal) => Promise<Answer>

/** The socket's path is in use by a living agent. */
export class SocketInUseError extends Error {
  override readonly name = 'SocketInUseError'
  readonly code = 'SOCKET_IN_USE' as const
}

/** The socket's path is taken by something else. */
export class SocketPathError extends Error {
  override readonly name = 'SocketPathError'
  readonly code = 'SOCKET_PATH' as const
}

/** The agent's socket: one request, one answer, one connection. */
export class ApiServer {
  readonly #path: string
  readonly #server: Server
  readonly #log: Logger
  readonly #answers = new Set<Promise<void>>()
  /** Callers that have not sent the whole of their request yet. */
  readonly #unheard = new Set<Socket>()

  private constructor(path: string, server: Server, log: Logger) {
    this.#path = path
    this.#server = server
    this.#log = log
  }

  /**
   * Listens at once, but serves only when `ready` is done: callers that come early are kept waiting, not refused.
   * @throws SocketInUseError, SocketPathError
   */
  static async listen(path: string, ready: Promise<unknown>, handle: Handler, log: Logger): Promise<ApiServer> {
    if (await isAnswered(path)) throw new SocketInUseError(`another bramble-agent listens on ${path}; stop it first`)
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    rmSync(path, { force: true }) // left behind by an agent that was killed
    const server = createServer()
    server.maxConnections = CONNECTIONS_MAX
    const api = new ApiServer(path, server, log)
    server.on('connection', (socket) => api.#serve(socket, ready, handle))
    const umask = process.umask(0o177)
    try {
      await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve))
    } finally {
      process.umask(umask)
    }
    chmodSync(path, 0o600)
    return api
  }

  /** Ends when the socket's file was removed or replaced: no caller can find this agent any more. */
  gone(): Promise<'socket gone'> {
    const inode = statSync(this.#path).ino
    return new Promise((resolve) => {
      const timer = setInterval(() => {
        if (statSync(this.#path, { throwIfNoEntry: false })?.ino === inode) return
        clearInterval(timer)
        resolve('socket gone')
      }, LOOK_EVERY_MS).unref()
    })
  }

  /**
   * Takes no new calls, and ends when the running ones are answered. Who has not sent a whole request yet is let go:
   * the plugin sees that nobody took its call, and tries the next agent.
   */
  async close(): Promise<void> {
    this.#server.close()
    for (const socket of this.#unheard) socket.destroy()
    await Promise.all(this.#answers)
  }

  #serve(socket: Socket, ready: Promise<unknown>, handle: Handler): void {
    const caller = new AbortController()
    socket.on('error', () => {}) // 'close' follows, and says all we need
    socket.on('end', () => caller.abort(GONE)) // no caller closes one half only; 'close' comes some turns of the loop later
    socket.on('close', () => {
      this.#unheard.delete(socket)
      caller.abort(GONE)
    })
    const uid = peerUid(socket)
    if (uid !== 0 && uid !== process.getuid?.()) {
      this.#log.warn({ uid }, 'refused a caller that is not root')
      socket.destroy()
      return
    }
    this.#unheard.add(socket)
    socket.setTimeout(REQUEST_TIMEOUT_MS, () => socket.destroy())
    let chunks: Buffer[] = []
    let bytes = 0
    let wanted = REQUEST_HEADER_BYTES
    socket.on('data', (chunk) => {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes < wanted) return
      try {
        const joined = Buffer.concat(chunks)
        const request = decodeRequest(joined)
        if (!request) {
          wanted = requestBytes(joined)
          chunks = [joined]
          return
        }
        this.#unheard.delete(socket)
        socket.setTimeout(0)
        socket.removeAllListeners('data').resume()
        const answer = this.#answer(socket, request, ready, handle, caller.signal)
        this.#answers.add(answer)
        answer.finally(() => this.#answers.delete(answer))
      } catch (error) {
        this.#log.warn({ err: error }, 'refused a request that is none of ours')
        socket.destroy()
      }
    })
  }

  async #answer(
    socket: Socket,
    request: Request,
    ready: Promise<unknown>,
    handle: Handler,
    gone: AbortSignal,
  ): Promise<void> {
    try {
      await ready
      const answer = await handle(request, gone)
      await new Promise<void>((resolve) => {
        socket.once('close', resolve)
        socket.end(encodeAnswer(answer), resolve)
      })
      answered(request.env.CNI_COMMAND)
    } catch (error) {
      this.#log.error({ err: error }, 'cannot answer')
      socket.destroy()
    }
  }
}

/**
 * A socket file that nobody listens on is left over; one that answers is in use, and so is one with too many in line.
 * @throws SocketPathError
 */
function isAnswered(path: string): Promise<boolean> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === false)
    throw new SocketPathError(`${path} is there and is no socket; remove it, or choose another --socket`)
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'EAGAIN'))
  })
}

function answered(command: string | undefined): void {
  if (command === 'ADD') faultPoint('add:answered')
  if (command === 'DEL') faultPoint('del:answered')
}
