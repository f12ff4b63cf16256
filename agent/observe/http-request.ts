/** As much of HTTP/1.1 as a scraper and a probe speak (RFC 9112): a head, no body, one request a connection. Pure. */

/** Far above what Prometheus sends. */
export const HEAD_BYTES_MAX = 8192

export interface HttpAnswer {
  readonly status: 200 | 400 | 404 | 405 | 431 | 503
  readonly contentType: string
  readonly body: string
}

const WORDS: Readonly<Record<HttpAnswer['status'], string>> = {
  200: 'OK',
  400: 'Bad Request',
  404: 'Not Found',
  405: 'Method Not Allowed',
  431: 'Request Header Fields Too Large',
  503: 'Service Unavailable',
}

/** @returns undefined while the head has not ended; what is asked for, or why that cannot be answered */
export function parseHead(
  received: Buffer,
): { readonly method: string; readonly path: string } | HttpAnswer | undefined {
  const end = received.indexOf('\r\n\r\n')
  if (end < 0 && received.length <= HEAD_BYTES_MAX) return undefined
  if (end < 0 || end > HEAD_BYTES_MAX) return text(431, 'the head of the request is too long')
  const [, method, target = ''] =
    /^([A-Z]{1,16}) (\S{1,2048}) HTTP\/1\.[01]$/.exec(received.toString('latin1', 0, end).split('\r\n', 1)[0] ?? '') ??
    []
  if (method === undefined) return text(400, 'this is no HTTP/1.1 request')
  if (method !== 'GET' && method !== 'HEAD') return text(405, 'only GET and HEAD are answered')
  return { method, path: target.replace(/^http:\/\/[^/?#]*/i, '').replace(/[?#].*$/s, '') || '/' }
}

export function renderAnswer({ status, contentType, body }: HttpAnswer, method: string): Buffer {
  const head = [
    `HTTP/1.1 ${status} ${WORDS[status]}`,
    `Content-Type: ${contentType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'X-Content-Type-Options: nosniff',
    'Connection: close',
  ].join('\r\n')
  return Buffer.from(`${head}\r\n\r\n${method === 'HEAD' ? '' : body}`)
}

export function text(status: HttpAnswer['status'], body: string): HttpAnswer {
  return { status, contentType: 'text/plain; charset=utf-8', body: `${body}\n` }
}
