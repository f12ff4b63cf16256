import type { IncomingMessage } from 'node:http'
import { ApiProtocolError, UnreachableError, unreachable } from './errors.ts'
import type { ItemSplitter } from './items.ts'
import type { LineSplitter } from './lines.ts'

/** A response's body as it comes; too long a silence ends it. @throws UnreachableError; AbortError */
export async function* pieces(
  response: IncomingMessage,
  request: string,
  idleMs: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const silence = new UnreachableError(request, 'ETIMEDOUT', `nothing more came for ${idleMs / 1000} s`)
  const timer = setTimeout(() => response.destroy(silence), idleMs)
  const abort = () => response.destroy(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    for await (const piece of response) {
      timer.refresh()
      yield piece
    }
  } catch (error) {
    throw signal.aborted ? signal.reason : unreachable(request, error as Error)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
  }
  signal.throwIfAborted()
}

/** The whole of it. @throws ApiProtocolError when it is longer than that */
export async function bodyOf(
  response: IncomingMessage,
  request: string,
  mostBytes: number,
  idleMs: number,
  signal: AbortSignal,
): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const piece of pieces(response, request, idleMs, signal)) {
    bytes += piece.length
    if (bytes > mostBytes) throw new ApiProtocolError(request, `answered with more than ${mostBytes} bytes`)
    chunks.push(piece)
  }
  return Buffer.concat(chunks, bytes).toString('utf8')
}

/** What has its end in this piece. @throws ApiProtocolError when something is too long */
export function cut(request: string, splitter: LineSplitter | ItemSplitter, piece: Buffer): string[] {
  try {
    return splitter.push(piece)
  } catch (error) {
    throw new ApiProtocolError(request, `sent ${(error as Error).message}`, { cause: error })
  }
}
