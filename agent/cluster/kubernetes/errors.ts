/** The API server answered, with a refusal. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly code = 'API' as const
  /** `GET /api/v1/nodes` */
  readonly request: string
  /** Of HTTP, or of the Status object in a watch. */
  readonly status: number
  /** For programs: `Forbidden`, `Expired`, `NotFound`. */
  readonly reason: string
  /** The server's own words. */
  readonly words: string
  /** What it asked us to wait. */
  readonly retryAfterMs: number

  constructor(request: string, status: number, reason: string, words: string, retryAfterMs = 0) {
    super(`${request}: ${status} ${reason}: ${words}`)
    this.request = request
    this.status = status
    this.reason = reason
    this.words = words
    this.retryAfterMs = retryAfterMs
  }
}

/** No answer, or only a part of it. */
export class UnreachableError extends Error {
  override readonly name = 'UnreachableError'
  readonly code = 'UNREACHABLE' as const
  readonly request: string
  /** Of the kernel, of Node's TLS (`CERT_NOT_YET_VALID`), or ours (`ETIMEDOUT`). */
  readonly errno: string
  readonly words: string

  constructor(request: string, errno: string, words: string, options?: ErrorOptions) {
    super(`${request}: ${errno} (${words})`, options)
    this.request = request
    this.errno = errno
    this.words = words
  }
}

/** Something answered that does not speak as an API server does. */
export class ApiProtocolError extends Error {
  override readonly name = 'ApiProtocolError'
  readonly code = 'API_PROTOCOL' as const
  readonly request: string
  readonly words: string

  constructor(request: string, words: string, options?: ErrorOptions) {
    super(`${request}: ${words}`, options)
    this.request = request
    this.words = words
  }
}

/** What Node throws, as ours; ours as it is. */
export function unreachable(request: string, error: NodeJS.ErrnoException): Error {
  if (error instanceof UnreachableError || error instanceof ApiProtocolError) return error
  return new UnreachableError(request, error.code ?? 'unknown', error.message || 'no connection', { cause: error })
}
