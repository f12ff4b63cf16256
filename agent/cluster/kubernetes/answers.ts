import { ApiError, ApiProtocolError } from './errors.ts'

/** No server makes us wait longer. */
const MOST_RETRY_AFTER_MS = 60_000

/** An object of any kind, as far as all have it. */
export interface ApiObject {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly resourceVersion?: string
    readonly creationTimestamp?: unknown
    readonly annotations?: Readonly<Record<string, string>>
    readonly labels?: Readonly<Record<string, string>>
  }
}

export interface WatchEvent {
  /** A BOOKMARK's object has a version, and no name. */
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'
  readonly object: ApiObject
}

export interface ListPage {
  /** Of the whole list, the same on all its pages. */
  readonly resourceVersion: string
  /** What to ask the next page with; undefined: this is the last. */
  readonly proceed: string | undefined
}

/** @throws ApiProtocolError */
export function objectOf(request: string, value: unknown): ApiObject {
  const object = value as ApiObject | null
  if (typeof object?.metadata?.name === 'string') return object
  throw new ApiProtocolError(request, `answered with what is no object: ${excerpt(JSON.stringify(value))}`)
}

/** A page of a list, without its items. @throws ApiProtocolError */
export function listOf(request: string, text: string): ListPage {
  const list = parseJson(request, text) as {
    kind?: unknown
    metadata?: { resourceVersion?: unknown; continue?: string }
  } | null
  const resourceVersion = list?.metadata?.resourceVersion
  if (!String(list?.kind).endsWith('List') || typeof resourceVersion !== 'string')
    throw new ApiProtocolError(request, `answered with what is no list: ${excerpt(text)}`)
  return { resourceVersion, proceed: list?.metadata?.continue || undefined }
}

/** One line of a watch. @throws ApiError for an event that tells an error; ApiProtocolError */
export function eventOf(request: string, line: string): WatchEvent {
  const event = parseJson(request, line) as { type?: unknown; object?: Record<string, unknown> } | null
  if (event?.type === 'ERROR') {
    const { code = 500, reason = 'Unknown', message = '' } = event.object ?? {}
    throw new ApiError(request, Number(code), String(reason), String(message))
  }
  const metadata = event?.object?.metadata as { name?: unknown; resourceVersion?: unknown } | undefined
  const isEvent =
    event?.type === 'BOOKMARK'
      ? typeof metadata?.resourceVersion === 'string'
      : ['ADDED', 'MODIFIED', 'DELETED'].includes(String(event?.type)) && typeof metadata?.name === 'string'
  if (!isEvent) throw new ApiProtocolError(request, `sent what is no event: ${excerpt(line)}`)
  return event as unknown as WatchEvent
}

/** An answer that is not 2xx; in the words of its Status object, if it has one: proxies and servers that come up have none. */
export function refusal(
  request: string,
  status: number,
  statusMessage: string,
  retryAfter: string | undefined,
  body: string,
): ApiError {
  const { reason = statusMessage, message = excerpt(body) } = statusFields(body)
  // RFC 9110, section 10.2.3: a date would need the wall clock, and API servers send seconds.
  const seconds = Number(retryAfter ?? 0)
  const retryAfterMs = seconds > 0 ? Math.min(seconds * 1000, MOST_RETRY_AFTER_MS) : 0
  return new ApiError(request, status, reason, message, retryAfterMs)
}

function statusFields(body: string): { reason?: string; message?: string } {
  try {
    const value = JSON.parse(body)
    return value?.kind === 'Status' ? value : {}
  } catch {
    return {}
  }
}

/** @throws ApiProtocolError */
export function parseJson(request: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new ApiProtocolError(request, `answered with what is no JSON: ${excerpt(text)}`, { cause: error })
  }
}

function excerpt(text = ''): string {
  const line = text.slice(0, 1000).trim().replace(/\s+/g, ' ')
  return line.length <= 100 ? line : `${line.slice(0, 97)}...`
}
