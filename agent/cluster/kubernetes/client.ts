import type { Agent, IncomingMessage } from 'node:http'
import { isIP, type Socket } from 'node:net'
import type { SecureContext } from 'node:tls'
import { version } from '../../version.ts'
import type { ApiAccess } from './access.ts'
import { type ApiObject, eventOf, listOf, objectOf, parseJson, refusal, type WatchEvent } from './answers.ts'
import { bodyOf, cut, pieces } from './body.ts'
import { CredentialFiles } from './credentials.ts'
import { ApiProtocolError, UnreachableError, unreachable } from './errors.ts'
import { ItemSplitter } from './items.ts'
import { LineSplitter } from './lines.ts'
import { PULSE, Pulse, type PulseLimits } from './pulse.ts'

/** In milliseconds. */
export interface Timeouts extends PulseLimits {
  /** TCP and TLS. */
  readonly connectMs: number
  /** From the request to the response's head. */
  readonly headMs: number
  /** Between two pieces of a body. */
  readonly bodyMs: number
  /** Between two pieces of a watch: bookmarks come each minute or two. */
  readonly watchMs: number
}

const TIMEOUTS: Timeouts = { connectMs: 10_000, headMs: 30_000, bodyMs: 30_000, watchMs: 180_000, ...PULSE }
/** A peer without power answers no probe: libuv sends ten, a second apart, after this, and then the connection is gone. */
const KEEP_ALIVE_MS = 20_000
/** Five of them watch. Two hundred pods that start at once and are asked for one by one share the rest. */
const MOST_CONNECTIONS = 16
/** Objects in one page of a list. */
const PAGE_LIMIT = 500
/** etcd takes objects of 1.5 MiB (--max-request-bytes); as JSON they are longer. */
const MOST_OBJECT_BYTES = 8 << 20
/** Of a refusal, which is a Status of some hundred bytes, or a proxy's page. */
const MOST_REFUSAL_BYTES = 64 << 10

/** `import` takes 5 MiB more: it reads all that the module has, and `http.WebSocket` loads what no agent needs. */
const http = process.getBuiltinModule('node:http')
const https = process.getBuiltinModule('node:https')

type Query = Readonly<Record<string, string>>

interface Call {
  readonly method: 'GET' | 'PATCH' | 'POST' | 'DELETE'
  readonly path: string
  readonly query?: Query
  readonly body?: string
  readonly contentType?: string
  readonly signal: AbortSignal
}

/**
 * What the agent needs of the API server: get, list in pages, watch, patches, create, delete; over connections that are kept.
 * All throw ApiError (it refused), UnreachableError (no answer in time, or cut off), ApiProtocolError (no API server's
 * answer), and AbortError once the signal says so.
 */
export class ApiClient {
  /** As in the configuration; for messages. */
  readonly server: string
  readonly #access: ApiAccess
  readonly #timeouts: Timeouts
  readonly #base: URL
  readonly #credentials: CredentialFiles
  readonly #userAgent = `bramble-agent/${version()}`
  readonly #connected = new WeakSet<Socket>()
  readonly #pulse: Pulse
  /** What the last answer said of the server's clock, and when that was by a clock that nobody sets. */
  #told: { readonly dateMs: number; readonly atMs: number } | undefined
  #agent: Agent | undefined
  #agentContext: SecureContext | undefined

  /** @throws KubeconfigError when the credentials cannot be used */
  constructor(access: ApiAccess, timeouts: Partial<Timeouts> = {}) {
    this.server = access.server
    this.#access = access
    this.#timeouts = { ...TIMEOUTS, ...timeouts }
    // Whoever gets a token may read it (ClusterRole system:public-info-viewer).
    const ask = (signal: AbortSignal) => this.read('/version', signal)
    this.#pulse = new Pulse({ ask, onHung: () => this.#dropIdle() }, this.#timeouts)
    this.#base = new URL(access.server)
    this.#credentials = new CredentialFiles(access)
  }

  /** An address or a name. */
  get host(): string {
    return this.#base.hostname.replace(/^\[|\]$/g, '')
  }

  /** The server's clock, to the second; undefined until it has answered. */
  get clockMs(): number | undefined {
    return this.#told && this.#told.dateMs + performance.now() - this.#told.atMs
  }

  async get(path: string, signal: AbortSignal): Promise<ApiObject> {
    return objectOf(`GET ${path}`, await this.read(path, signal))
  }

  /** What is no object: what the server says about itself. */
  async read(path: string, signal: AbortSignal): Promise<unknown> {
    return this.#json({ method: 'GET', path, signal })
  }

  /**
   * Calls onItem for each object, all of one moment; whatever it is for, until the end nobody knows that it is whole.
   * Objects have no kind and no apiVersion, as the server leaves them out. Never more than one is in memory.
   * @returns the version to watch from
   */
  async list(
    path: string,
    signal: AbortSignal,
    onItem: (item: ApiObject) => void,
    limit = PAGE_LIMIT,
  ): Promise<string> {
    const request = `LIST ${path}`
    let query: Query = { limit: String(limit) }
    for (;;) {
      const response = await this.#send({ method: 'GET', path, query, signal }, request)
      const page = new ItemSplitter(MOST_OBJECT_BYTES)
      for await (const piece of pieces(response, request, this.#timeouts.bodyMs, signal))
        for (const text of cut(request, page, piece)) onItem(objectOf(request, parseJson(request, text)))
      const { resourceVersion, proceed } = listOf(request, page.envelope)
      if (!proceed) return resourceVersion
      if (proceed === query.continue) throw new ApiProtocolError(request, 'sent the same page for ever')
      query = { ...query, continue: proceed }
    }
  }

  /** Where the counter of versions stands now. */
  async newestVersion(path: string, signal: AbortSignal): Promise<string> {
    const request = `LIST ${path}`
    const response = await this.#send({ method: 'GET', path, query: { limit: '1' }, signal }, request)
    return listOf(request, await bodyOf(response, request, MOST_OBJECT_BYTES, this.#timeouts.bodyMs, signal))
      .resourceVersion
  }

  /**
   * Calls onEvent for each event, in order, and ends when the server ends the watch in good order.
   * @param onOpen the server has agreed
   */
  async watch(
    path: string,
    query: Query,
    signal: AbortSignal,
    onOpen: () => void,
    onEvent: (event: WatchEvent) => void,
  ): Promise<void> {
    const request = `WATCH ${path}`
    const call = { method: 'GET', path, query: { ...query, watch: 'true' }, signal } as const
    const response = await this.#send(call, request)
    onOpen()
    const lines = new LineSplitter(MOST_OBJECT_BYTES)
    const ended = this.#pulse.watching((error) => response.destroy(error))
    try {
      for await (const chunk of pieces(response, request, this.#timeouts.watchMs, signal)) {
        this.#pulse.heard()
        for (const line of cut(request, lines, chunk)) onEvent(eventOf(request, line))
      }
    } finally {
      ended()
    }
    if (lines.pendingBytes > 0) throw new UnreachableError(request, 'ECONNRESET', 'it ended in the middle of an event')
  }

  /** RFC 7386: what is null goes, what is not named stays. @returns the object as it is then */
  async mergePatch(path: string, patch: unknown, signal: AbortSignal): Promise<ApiObject> {
    const query = { fieldManager: 'bramble-agent' }
    const body = JSON.stringify(patch)
    return objectOf(`PATCH ${path}`, await this.#json({ method: 'PATCH', path, query, body, signal }))
  }

  /** Lists are merged by the keys of their entries, as the type says (k8s.io/apimachinery, strategicpatch). */
  async strategicMergePatch(path: string, patch: unknown, signal: AbortSignal): Promise<ApiObject> {
    const query = { fieldManager: 'bramble-agent' }
    const contentType = 'application/strategic-merge-patch+json'
    const body = JSON.stringify(patch)
    return objectOf(`PATCH ${path}`, await this.#json({ method: 'PATCH', path, query, body, contentType, signal }))
  }

  /** @param path of the collection @returns the object as it is then */
  async create(path: string, object: unknown, signal: AbortSignal): Promise<ApiObject> {
    const query = { fieldManager: 'bramble-agent' }
    const call = { method: 'POST', path, query, body: JSON.stringify(object), contentType: 'application/json' } as const
    return objectOf(`POST ${path}`, await this.#json({ ...call, signal }))
  }

  /** With what belongs to it; a namespace, or a pod with a grace period, is there for a while yet. */
  async delete(path: string, signal: AbortSignal): Promise<void> {
    await this.#json({ method: 'DELETE', path, signal })
  }

  /** What is a text and no JSON: the log of a container. */
  async text(path: string, query: Query, signal: AbortSignal): Promise<string> {
    const request = `GET ${path}`
    const response = await this.#send({ method: 'GET', path, query, signal }, request)
    return bodyOf(response, request, MOST_OBJECT_BYTES, this.#timeouts.bodyMs, signal)
  }

  /** What is under way is for the signals to end. */
  close(): void {
    this.#agent?.destroy()
  }

  /** What is under way has deadlines of its own; what waits for the next request would fail that, too. */
  #dropIdle(): void {
    for (const sockets of Object.values(this.#agent?.freeSockets ?? {}))
      for (const socket of sockets ?? []) socket.destroy()
  }

  async #json(call: Call): Promise<unknown> {
    const request = `${call.method} ${call.path}`
    const response = await this.#send(call, request)
    const text = await bodyOf(response, request, MOST_OBJECT_BYTES, this.#timeouts.bodyMs, call.signal)
    return parseJson(request, text)
  }

  /** @returns the response once its head says 2xx */
  async #send(call: Call, request: string): Promise<IncomingMessage> {
    call.signal.throwIfAborted()
    const response = await this.#head(call, request)
    const status = response.statusCode ?? 0
    if (status >= 200 && status < 300) return response
    const text = await bodyOf(response, request, MOST_REFUSAL_BYTES, this.#timeouts.bodyMs, call.signal)
    const { 'retry-after': retryAfter } = response.headers
    throw refusal(request, status, response.statusMessage ?? '', retryAfter, text)
  }

  #head({ method, path, query, body, contentType, signal }: Call, request: string): Promise<IncomingMessage> {
    const { token, secureContext } = this.#credentials.current()
    const { protocol, port, pathname } = this.#base
    const isTls = protocol === 'https:'
    const { host } = this
    const { connectMs, headMs } = this.#timeouts
    return new Promise((resolve, reject) => {
      const outgoing = (isTls ? https : http).request({
        method,
        host,
        port: port || (isTls ? 443 : 80),
        path: `${pathname.replace(/\/$/, '')}${path}${query ? `?${new URLSearchParams(query)}` : ''}`,
        agent: this.#agentFor(secureContext),
        servername: this.#access.serverName ?? (isIP(host) ? '' : host),
        headers: {
          accept: 'application/json',
          'user-agent': this.#userAgent,
          ...(token && { authorization: `Bearer ${token}` }),
          ...(body && {
            'content-type': contentType ?? 'application/merge-patch+json',
            'content-length': Buffer.byteLength(body),
          }),
        },
      })
      const late = (what: string, ms: number) => () =>
        outgoing.destroy(new UnreachableError(request, 'ETIMEDOUT', `${what} within ${ms / 1000} s`))
      let timer = setTimeout(late('no connection', connectMs), connectMs)
      const connected = () => {
        clearTimeout(timer)
        timer = setTimeout(late('no answer', headMs), headMs)
      }
      const abort = () => outgoing.destroy(signal.reason)
      signal.addEventListener('abort', abort, { once: true })
      const done = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', abort)
      }
      outgoing.on('socket', (socket) => {
        socket.setKeepAlive(true, KEEP_ALIVE_MS)
        // `reusedSocket` is not said of one that was handed on to a request which waited for it.
        if (this.#connected.has(socket)) connected()
        else
          socket.once(isTls ? 'secureConnect' : 'connect', () => {
            this.#connected.add(socket)
            connected()
          })
      })
      outgoing.once('response', (response) => {
        done()
        const dateMs = Date.parse(response.headers.date ?? '') // RFC 9110, section 6.6.1
        if (!Number.isNaN(dateMs)) this.#told = { dateMs, atMs: performance.now() }
        resolve(response)
      })
      outgoing.on('error', (error) => {
        done()
        reject(signal.aborted ? signal.reason : unreachable(request, error))
      })
      outgoing.end(body)
    })
  }

  /** Other credentials, other connections. */
  #agentFor(secureContext: SecureContext | undefined): Agent {
    if (this.#agent && this.#agentContext === secureContext) return this.#agent
    this.#agent?.destroy()
    this.#agentContext = secureContext
    const options = { keepAlive: true, maxSockets: MOST_CONNECTIONS }
    this.#agent = secureContext
      ? new https.Agent({ ...options, secureContext, rejectUnauthorized: !this.#access.skipsTlsVerify })
      : new http.Agent(options)
    return this.#agent
  }
}
