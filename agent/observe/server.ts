import { createServer, type Server, type Socket } from 'node:net'
import type { Logger } from 'pino'
import { CONTENT_TYPE } from './exposition.ts'
import { type HttpAnswer, parseHead, renderAnswer, text } from './http-request.ts'

/** Who connects has so long for request and answer, however slowly it speaks or reads. */
const CONNECTION_MS = 10_000
/** Who connects and says nothing keeps others from asking. */
const HEAD_MS = 1_000
/** One scraper has one connection; a second Prometheus, a probe and a person besides. */
const CONNECTIONS_MAX = 16
/** Who asks more often gets the same again: looking costs a listing of counters in the kernel. */
const FRESH_MS = 500
const RETRY_MS = { first: 1_000, most: 30_000 } as const

export interface Address {
  readonly host: string
  readonly port: number
}

/** What is told; each throws where it cannot be. */
export interface Pages {
  /** Of metrics, as Prometheus reads them. */
  metrics(): Promise<string>
  /** Why the agent does not serve; undefined: it does. */
  unready(): string | undefined
}

/**
 * `/metrics` and `/healthz`. Over node:net, since node:http takes 15 MiB more of a process that has no other use for it.
 * Where the address is taken the agent goes on, tells so, and tries again: an agent that ends may still have it.
 */
export class MetricsServer {
  readonly #address: Address
  readonly #pages: Pages
  readonly #log: Logger
  readonly #timeoutMs: number
  readonly #sockets = new Set<Socket>()
  /** Those that have not sent the head of their request yet, or have their answer and stay; the oldest first. */
  readonly #idle = new Set<Socket>()
  #server: Server | undefined
  #timer: NodeJS.Timeout | undefined
  #problem: string | undefined
  #retryMs: number = RETRY_MS.first
  #isClosed = false
  #hasToldFull = false
  #metrics: Promise<string> | undefined

  /** @param timeoutMs only tests have less patience */
  constructor(address: Address, pages: Pages, log: Logger, timeoutMs = CONNECTION_MS) {
    this.#address = address
    this.#pages = pages
    this.#log = log
    this.#timeoutMs = timeoutMs
    this.#listen()
  }

  /** Why nobody can ask, in words. */
  get problems(): string[] {
    return this.#problem === undefined ? [] : [this.#problem]
  }

  /** Where it listens; undefined while it does not. */
  get port(): number | undefined {
    const address = this.#server?.address()
    return typeof address === 'object' && address !== null ? address.port : undefined
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#server?.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #listen(): void {
    const server = createServer((socket) => this.#serve(socket))
    server.once('error', (error: NodeJS.ErrnoException) => this.#failed(error))
    server.listen({ ...this.#address, exclusive: true }, () => {
      if (this.#problem !== undefined) this.#log.info({ ...this.#address }, 'metrics can be asked for now')
      this.#problem = undefined
      this.#retryMs = RETRY_MS.first
    })
    server.unref()
    this.#server = server
  }

  #failed(error: NodeJS.ErrnoException): void {
    if (this.#isClosed) return
    const problem = explain(error, this.#address)
    if (problem !== this.#problem) this.#log.warn({ err: error, ...this.#address }, problem)
    this.#problem = problem
    this.#timer = setTimeout(() => this.#listen(), this.#retryMs).unref()
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS.most)
  }

  #serve(socket: Socket): void {
    socket.on('error', () => {}) // 'close' follows, and says all we need
    if (!this.#hasRoom()) {
      socket.destroy()
      return
    }
    this.#sockets.add(socket)
    this.#idle.add(socket)
    const timer = setTimeout(() => socket.destroy(), this.#timeoutMs).unref()
    const headTimer = setTimeout(() => socket.destroy(), Math.min(HEAD_MS, this.#timeoutMs)).unref()
    socket.on('close', () => {
      clearTimeout(timer)
      clearTimeout(headTimer)
      this.#forget(socket)
    })
    let received = Buffer.alloc(0)
    const hear = (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      const asked = parseHead(received)
      if (!asked) return
      clearTimeout(headTimer)
      this.#idle.delete(socket)
      socket.off('data', hear).resume() // what still comes is of no interest, but must not hold up the end
      const answered = () => this.#sockets.has(socket) && this.#idle.add(socket)
      if ('status' in asked) socket.end(renderAnswer(asked, 'GET'), answered)
      else this.#answer(asked.path).then((answer) => socket.end(renderAnswer(answer, asked.method), answered))
    }
    socket.on('data', hear)
  }

  /** Room is made at the cost of those who wait for nothing: an agent that the kubelet cannot ask is not ready. */
  #hasRoom(): boolean {
    if (this.#sockets.size < CONNECTIONS_MAX) return true
    if (!this.#hasToldFull)
      this.#log.warn(
        { connections: CONNECTIONS_MAX },
        'metrics: too many connections; those that ask nothing, or nothing more, are closed',
      )
    this.#hasToldFull = true
    const [oldest] = this.#idle
    if (!oldest) return false
    oldest.destroy()
    this.#forget(oldest)
    return true
  }

  #forget(socket: Socket): void {
    this.#sockets.delete(socket)
    this.#idle.delete(socket)
  }

  async #answer(path: string): Promise<HttpAnswer> {
    switch (path) {
      case '/metrics':
        try {
          return { status: 200, contentType: CONTENT_TYPE, body: await this.#freshMetrics() }
        } catch (error) {
          this.#log.error({ err: error }, 'metrics cannot be told')
          return text(503, 'metrics cannot be told; see the log of bramble-agent')
        }
      case '/healthz': {
        const reason = this.#pages.unready()
        return reason === undefined ? text(200, 'ok') : text(503, reason)
      }
      default:
        return text(404, 'there are /metrics and /healthz')
    }
  }

  /** One look for all who ask until it is over, however long it takes: ADDs wait in the same queue. */
  #freshMetrics(): Promise<string> {
    if (!this.#metrics) {
      this.#metrics = this.#pages.metrics()
      // Some hundred kilobytes that nobody asks for again.
      const forget = () => (this.#metrics = undefined)
      this.#metrics.catch(() => {}).finally(() => setTimeout(forget, FRESH_MS).unref())
    }
    return this.#metrics
  }
}

function explain({ code, message }: NodeJS.ErrnoException, { host, port }: Address): string {
  const where = `${host.includes(':') ? `[${host}]` : host}:${port}`
  switch (code) {
    case 'EADDRINUSE':
      return `metrics: ${where} is taken by another program; find it with "ss -tlnp sport = :${port}", or choose another --metrics-address`
    case 'EADDRNOTAVAIL':
      return `metrics: this node has no address ${host}, or it is not up; choose another --metrics-address`
    default:
      return `metrics: cannot listen on ${where}: ${message}`
  }
}
