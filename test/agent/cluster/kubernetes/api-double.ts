import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import https from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { ApiObjects, type NewObject, type StoredEvent, type StoredObject } from './api-objects.ts'

/**
 * An API server over real sockets, as clients see it: get, list in pages, watch with bookmarks, merge patch, discovery;
 * 401, 403, 404, 410, 415 in the real one's words. Faults on demand. What a test wants to happen it does to `objects`.
 */

export interface ApiDoubleOptions {
  /** PEM; absent: plain http. With a `ca`, client certificates of it are users. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string }
  /** Absent: everybody may do everything. */
  readonly tokens?: ReadonlySet<string>
  readonly bookmarkEveryMs?: number
  /** 127.0.0.1 by default. */
  readonly host?: string
  /** 0: any. */
  readonly port?: number
}

/** What goes wrong with a request. */
export type Fault =
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly headers?: http.OutgoingHttpHeaders
      readonly body: string
    }
  /** The connection stays, and nothing comes. */
  | { readonly kind: 'silence' }
  | { readonly kind: 'reset' }
  /** Half of the right answer's body, then the connection breaks. */
  | { readonly kind: 'half' }
  | { readonly kind: 'slow'; readonly ms: number }

export interface SeenRequest {
  readonly verb: 'get' | 'list' | 'watch' | 'patch' | 'create' | 'delete'
  readonly resource: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly headers: http.IncomingHttpHeaders
  /** The source port: the same for requests over one connection. */
  readonly port: number
}

export interface Target {
  readonly resource: string
  readonly namespace: string | undefined
  readonly name: string | undefined
  readonly isStatus?: true
}

export class ApiDouble {
  readonly objects = new ApiObjects()
  readonly requests: SeenRequest[] = []
  readonly watches = new Set<LiveWatch>()
  /** Looked at for each request, before all else. */
  fault: (request: SeenRequest) => Fault | undefined = () => undefined
  /** `list nodes` */
  readonly forbidden = new Set<string>()
  tokens: ReadonlySet<string> | undefined
  /** Of containers, by `NAMESPACE/POD`, as kubelet hands them on. */
  readonly logs = new Map<string, string>()
  /** What its answers say of its clock, from ours. */
  clockAheadMs = 0
  /** How too old a version is told: older servers answer the request, newer ones begin a watch. */
  goneAs: 'event' | 'status' = 'event'
  readonly #server: http.Server
  readonly #isTls: boolean
  readonly #wantsCertificate: boolean
  readonly #sockets = new Set<Socket>()
  /** Of lists that come in pages, by version and resource. */
  readonly #snapshots = new Map<string, StoredObject[]>()
  readonly #bookmarks: NodeJS.Timeout | undefined

  private constructor({ tls, tokens, bookmarkEveryMs }: ApiDoubleOptions) {
    this.tokens = tokens
    this.#isTls = tls !== undefined
    this.#wantsCertificate = tls?.ca !== undefined
    const answer = (request: IncomingMessage, response: ServerResponse) => void this.#answer(request, response)
    this.#server = tls
      ? https.createServer({ ...tls, requestCert: tls.ca !== undefined, rejectUnauthorized: false }, answer)
      : http.createServer(answer)
    this.#server.keepAliveTimeout = 60_000
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket)).on('error', () => {})
    })
    if (bookmarkEveryMs) this.#bookmarks = setInterval(() => this.bookmark(), bookmarkEveryMs)
  }

  static async start(options: ApiDoubleOptions = {}): Promise<ApiDouble> {
    const double = new ApiDouble(options)
    await new Promise<void>((resolve, reject) =>
      double.#server.once('error', reject).listen(options.port ?? 0, options.host ?? '127.0.0.1', resolve),
    )
    return double
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    const { address, port } = this.#server.address() as AddressInfo
    return `${this.#isTls ? 'https' : 'http'}://${address}:${port}`
  }

  count(verb: SeenRequest['verb']): number {
    return this.requests.filter((request) => request.verb === verb).length
  }

  /** Sends each watch that asked for them where the history stands. */
  bookmark(): void {
    for (const watch of this.watches) watch.bookmark()
  }

  /** History and snapshots are gone; who watches goes on. */
  compact(): void {
    this.objects.compact()
    this.#snapshots.clear()
  }

  /** As when its CustomResourceDefinition is deleted: its objects go, its watches end, and it is not served. */
  uninstall(resource: string): void {
    this.objects.uninstall(resource)
    for (const watch of this.watches) if (watch.resource === resource) watch.end()
  }

  /** All connections break. */
  disconnect(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Idempotent. */
  async close(): Promise<void> {
    clearInterval(this.#bookmarks)
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.disconnect()
    await closed
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('date', new Date(Date.now() + this.clockAheadMs).toUTCString())
    const url = new URL(request.url ?? '/', 'http://double')
    const [, logOf] = /^\/api\/v1\/namespaces\/([^/]+\/pods\/[^/]+)\/log$/.exec(url.pathname) ?? []
    if (logOf !== undefined) return this.#log(request, response, logOf.replace('/pods/', '/'))
    const told = discovered(url.pathname, this.objects.resources)
    const target = targetOf(url.pathname) ?? { resource: url.pathname, namespace: undefined, name: '' }
    const query = Object.fromEntries(url.searchParams)
    const verb = verbOf(request.method, target, query)
    const { remotePort: port = 0 } = request.socket
    const seen = { verb, resource: target.resource, path: url.pathname, query, headers: request.headers, port }
    this.requests.push(seen)
    const fault = this.fault(seen)
    if (fault?.kind === 'answer') {
      response.writeHead(fault.status, fault.headers)
      response.end(fault.body)
      return
    }
    if (fault?.kind === 'silence') return
    if (fault?.kind === 'reset') return void request.socket.destroy()
    if (fault?.kind === 'slow') await new Promise((resolve) => setTimeout(resolve, fault.ms))
    if (!told && !this.objects.kindOf(target.resource)) return plain(response, 404, '404 page not found\n')
    this.#serve(request, response, seen, target, told, fault?.kind === 'half')
  }

  async #serve(
    request: IncomingMessage,
    response: ServerResponse,
    seen: SeenRequest,
    target: Target,
    told: object | undefined,
    half: boolean,
  ) {
    const { verb, query } = seen
    if (!this.#knows(request)) return status(response, 401, 'Unauthorized', 'Unauthorized')
    const plural = `${target.resource.split('/').at(-1)}${target.isStatus ? '/status' : ''}`
    if (this.forbidden.has(`${verb} ${plural}`))
      return status(
        response,
        403,
        'Forbidden',
        `${plural} is forbidden: User "bramble" cannot ${verb} resource "${plural}" in API group "" at the cluster scope`,
      )
    const answer = (object: unknown) => {
      if (response.headersSent) return
      const text = JSON.stringify(object)
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
      if (!half) return void response.end(text)
      response.write(text.slice(0, text.length / 2), () => request.socket.destroy())
    }
    if (told) return answer(told)
    if (query.fieldSelector || query.labelSelector)
      return status(response, 400, 'BadRequest', 'the double has no selectors yet')
    if (verb === 'list') return this.#list(response, target, query, answer)
    if (verb === 'watch') return this.#watch(response, target, query)
    if (verb === 'create') return answer(await this.#create(request, response, target))
    const key = target.namespace ? `${target.namespace}/${target.name}` : String(target.name)
    if (verb === 'delete') {
      const gone = this.objects.get(target.resource, key)
      this.objects.delete(target.resource, key)
      return gone ? answer(gone) : status(response, 404, 'NotFound', `${plural} "${target.name}" not found`)
    }
    const object =
      verb === 'patch' ? await this.#patch(request, response, target, key) : this.objects.get(target.resource, key)
    if (response.headersSent) return
    if (object) answer(object)
    else status(response, 404, 'NotFound', `${plural} "${target.name}" not found`)
  }

  #log(request: IncomingMessage, response: ServerResponse, key: string) {
    if (!this.#knows(request)) return status(response, 401, 'Unauthorized', 'Unauthorized')
    const text = this.logs.get(key)
    if (text === undefined) return status(response, 400, 'BadRequest', `container in pod "${key}" is waiting to start`)
    plain(response, 200, text)
  }

  #knows(request: IncomingMessage): boolean {
    if (!this.tokens && !this.#wantsCertificate) return true
    if (this.#wantsCertificate && (request.socket as TLSSocket).authorized) return true
    return this.tokens?.has((request.headers.authorization ?? '').replace(/^Bearer /, '')) ?? false
  }

  #list(response: ServerResponse, target: Target, query: SeenRequest['query'], answer: (list: unknown) => void) {
    const { version: at, from } = query.continue
      ? JSON.parse(Buffer.from(query.continue, 'base64url').toString())
      : { version: this.objects.version, from: 0 }
    const key = `${at} ${target.resource} ${target.namespace ?? ''}`
    const all = query.continue ? this.#snapshots.get(key) : this.objects.list(target.resource, target.namespace)
    if (!all)
      return status(
        response,
        410,
        'Expired',
        'The provided continue parameter is too old to display a consistent list result.',
      )
    const to = from + Number(query.limit ?? all.length)
    const isLast = to >= all.length
    if (!isLast) this.#snapshots.set(key, all)
    const { apiVersion, kind } = this.objects.kindOf(target.resource) ?? {}
    answer({
      kind: `${kind}List`,
      apiVersion,
      metadata: {
        resourceVersion: String(at),
        ...(!isLast && {
          continue: Buffer.from(JSON.stringify({ version: at, from: to })).toString('base64url'),
          remainingItemCount: all.length - to,
        }),
      },
      // As real servers do: what the list says, its items do not.
      items: all.slice(from, to).map(({ kind, apiVersion, ...rest }) => rest),
    })
  }

  #watch(response: ServerResponse, target: Target, query: SeenRequest['query']) {
    const from = Number(query.resourceVersion ?? 0)
    const isGone = from !== 0 && from < this.objects.compactedAt
    const words = `too old resource version: ${from} (${this.objects.compactedAt})`
    if (isGone && this.goneAs === 'status') return status(response, 410, 'Expired', words)
    response.writeHead(200, { 'content-type': 'application/json', 'transfer-encoding': 'chunked' })
    response.flushHeaders()
    const watch = new LiveWatch(response, target, query, this.objects)
    if (isGone) return watch.end({ type: 'ERROR', object: statusObject(410, 'Expired', words) })
    this.watches.add(watch)
    response.on('close', () => this.watches.delete(watch))
    watch.begin(from)
  }

  async #create(request: IncomingMessage, response: ServerResponse, { resource, namespace }: Target) {
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += chunk
    const object: NewObject = JSON.parse(body)
    const { name } = object.metadata
    if (namespace !== object.metadata.namespace)
      return status(response, 400, 'BadRequest', 'the namespace of the object is not that of the request')
    if (this.objects.get(resource, namespace ? `${namespace}/${name}` : name))
      return status(response, 409, 'AlreadyExists', `${resource.split('/').at(-1)} "${name}" already exists`)
    const metadata = { creationTimestamp: new Date().toISOString(), ...object.metadata }
    return this.objects.put(resource, { ...object, metadata })
  }

  async #patch(request: IncomingMessage, response: ServerResponse, { resource, isStatus }: Target, key: string) {
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += chunk
    const type = request.headers['content-type']
    // What is not of a Node's status is left out by real servers; here nobody sends it.
    if (isStatus && type === 'application/strategic-merge-patch+json')
      return this.objects.strategicMergePatch(resource, key, JSON.parse(body))
    if (isStatus || type !== 'application/merge-patch+json')
      return void status(response, 415, 'UnsupportedMediaType', 'the body of the request was in an unknown format')
    return this.objects.mergePatch(resource, key, JSON.parse(body))
  }
}

/** One client that watches. */
export class LiveWatch {
  readonly #response: ServerResponse
  readonly #target: Target
  readonly #query: SeenRequest['query']
  readonly #objects: ApiObjects
  #isSilent = false
  #from = 0
  #unlisten: () => void = () => {}

  constructor(response: ServerResponse, target: Target, query: SeenRequest['query'], objects: ApiObjects) {
    this.#response = response
    this.#target = target
    this.#query = query
    this.#objects = objects
  }

  /** From a version of the future nothing is told until the counter has passed it, as real servers do. */
  begin(from: number): void {
    this.#from = from
    const { resource } = this.#target
    // 0, or none: what is there now, as if it had just come.
    const version = this.#objects.version
    const now = this.#objects.list(resource).map((object) => ({ type: 'ADDED', version, resource, object }) as const)
    for (const event of from === 0 ? now : this.#objects.since(resource, from)) this.#tell(event)
    this.#unlisten = this.#objects.listen((event) => this.#tell(event))
    const seconds = Number(this.#query.timeoutSeconds ?? 1800)
    const timer = setTimeout(() => this.end(), seconds * 1000)
    this.#response.on('close', () => {
      clearTimeout(timer)
      this.#unlisten()
    })
  }

  get resource(): string {
    return this.#target.resource
  }

  bookmark(): void {
    if (this.#query.allowWatchBookmarks !== 'true' || this.#objects.version < this.#from) return
    const metadata = { resourceVersion: String(this.#objects.version), creationTimestamp: null }
    const object = { ...this.#objects.kindOf(this.#target.resource), metadata, spec: {}, status: {} }
    this.send(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`)
  }

  /** From now on nothing more is told, and the connection stays. */
  silence(): void {
    this.#isSilent = true
  }

  /** Bytes as they are. */
  send(bytes: string | Buffer): void {
    if (!this.#isSilent) this.#response.write(bytes)
  }

  /** In good order, after a last event. */
  end(event?: unknown): void {
    this.#unlisten()
    this.silence()
    this.#response.end(event === undefined ? undefined : `${JSON.stringify(event)}\n`)
  }

  /** In the middle of an event. */
  cut(): void {
    this.#unlisten()
    this.silence()
    this.#response.write('{"type":"MODIFIED","object":{"kind":"No', () => this.#response.socket?.destroy())
  }

  #tell({ type, version, resource, object }: StoredEvent): void {
    if (resource !== this.#target.resource || version <= this.#from) return
    if (this.#target.namespace && object.metadata.namespace !== this.#target.namespace) return
    this.send(`${JSON.stringify({ type, object })}\n`)
  }
}

/** `/api/v1/namespaces/NS/pods/NAME`: NAME of NS in the resource `/api/v1/pods`. */
export function targetOf(path: string): Target | undefined {
  const [, root, rest = ''] = /^(\/api\/v1|\/apis\/[^/]+\/[^/]+)\/(.+)$/.exec(path) ?? []
  if (!root) return undefined
  const parts = rest.split('/').map(decodeURIComponent)
  const namespace = parts[0] === 'namespaces' && parts.length > 2 ? parts[1] : undefined
  const [plural, name, ...more] = namespace === undefined ? parts : parts.slice(2)
  if (name !== undefined && more.join() === 'status')
    return { resource: `${root}/${plural}`, namespace, name, isStatus: true }
  return more.length > 0 ? undefined : { resource: `${root}/${plural}`, namespace, name }
}

/** `/apis`: all groups; `/apis/GROUP/VERSION`: what is in one; undefined: neither, or there is no such thing. */
function discovered(path: string, resources: readonly string[]): object | undefined {
  const ofGroups = resources.filter((resource) => resource.startsWith('/apis/'))
  const groupVersions = [...new Set(ofGroups.map((resource) => resource.split('/').slice(2, 4).join('/')))]
  if (path === '/apis') {
    const groups = groupVersions.map((groupVersion) => {
      const [name, version] = groupVersion.split('/')
      return { name, versions: [{ groupVersion, version }], preferredVersion: { groupVersion, version } }
    })
    return { kind: 'APIGroupList', apiVersion: 'v1', groups }
  }
  const groupVersion = groupVersions.find((one) => path === `/apis/${one}`)
  if (groupVersion === undefined) return undefined
  const names = ofGroups.filter((one) => one.startsWith(`${path}/`)).map((one) => one.slice(path.length + 1))
  const listed = names.flatMap((name) => [{ name }, { name: `${name}/status` }])
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources: listed }
}

function verbOf(method: string | undefined, { name }: Target, query: SeenRequest['query']): SeenRequest['verb'] {
  if (method === 'PATCH') return 'patch'
  if (method === 'POST') return 'create'
  if (method === 'DELETE') return 'delete'
  if (name !== undefined) return 'get'
  return query.watch === 'true' ? 'watch' : 'list'
}

function statusObject(code: number, reason: string, message: string) {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code }
}

function status(response: ServerResponse, code: number, reason: string, message: string): void {
  response.writeHead(code, { 'content-type': 'application/json' })
  response.end(`${JSON.stringify(statusObject(code, reason, message))}\n`)
}

function plain(response: ServerResponse, code: number, text: string): void {
  response.writeHead(code, { 'content-type': 'text/plain; charset=utf-8' })
  response.end(text)
}
