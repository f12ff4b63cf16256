/**
 * The frame between the plugin (shim.c) or bramblectl and the agent: one request, one answer, one connection.
 * All numbers are unsigned 32-bit, big-endian.
 *
 *     request   "BRM1"  kind  envBytes  bodyBytes   env: KEY=VALUE\0 …   body
 *     answer    "BRM1"  exitCode  bodyBytes         body
 *
 * shim.c holds the same numbers; test/plugin/shim.test.ts holds the two together.
 */
export const MAGIC = 'BRM1'
export const REQUEST_HEADER_BYTES = 16
export const ANSWER_HEADER_BYTES = 12

/** Beside the agent's socket, while the agent serves no plugin yet: only `bramblectl` looks there. */
export const STARTING_SOCKET = 'starting.sock'

/** What a request may weigh, in bytes. A GC that names 10,000 attachments needs some 900 KB. */
export const MAX_ENV_BYTES = 64 * 1024
export const MAX_BODY_BYTES = 1024 * 1024
export const MAX_ANSWER_BYTES = 16 * 1024 * 1024

/** cni: the CNI_* variables and stdin of a plugin call. control: a JSON body from bramblectl. */
export const KIND = { cni: 1, control: 2 } as const
export type Kind = keyof typeof KIND

export interface Request {
  readonly kind: Kind
  readonly env: Readonly<Record<string, string>>
  readonly body: Buffer
}

export interface Answer {
  /** The exit code of the calling process: 0, or 1 with the error as JSON in the body. */
  readonly exitCode: number
  readonly body: Buffer
}

/** The other side does not speak our frame. */
export class FrameError extends Error {
  override readonly name = 'FrameError'
  readonly code = 'FRAME' as const
}

export function encodeRequest(request: Request): Buffer {
  const env = Buffer.from(
    Object.entries(request.env)
      .map(([key, value]) => `${key}=${value}\0`)
      .join(''),
  )
  const header = Buffer.alloc(REQUEST_HEADER_BYTES)
  header.write(MAGIC)
  header.writeUInt32BE(KIND[request.kind], 4)
  header.writeUInt32BE(env.length, 8)
  header.writeUInt32BE(request.body.length, 12)
  return Buffer.concat([header, env, request.body])
}

/**
 * Reads a request from the bytes that have arrived so far.
 * @returns undefined while bytes are missing
 * @throws FrameError as soon as the bytes cannot become a request within the limits
 */
export function decodeRequest(bytes: Buffer): Request | undefined {
  checkMagic(bytes)
  if (bytes.length < REQUEST_HEADER_BYTES) return undefined
  const number = bytes.readUInt32BE(4)
  const kind = (Object.keys(KIND) as Kind[]).find((name) => KIND[name] === number)
  if (kind === undefined) throw new FrameError(`unknown kind of request: ${number}`)
  const envBytes = bytes.readUInt32BE(8)
  const bodyBytes = bytes.readUInt32BE(12)
  if (envBytes > MAX_ENV_BYTES)
    throw new FrameError(`environment of ${envBytes} bytes; at most ${MAX_ENV_BYTES} are taken`)
  if (bodyBytes > MAX_BODY_BYTES)
    throw new FrameError(`body of ${bodyBytes} bytes; at most ${MAX_BODY_BYTES} are taken`)
  const bodyStart = REQUEST_HEADER_BYTES + envBytes
  const end = bodyStart + bodyBytes
  if (bytes.length < end) return undefined
  if (bytes.length > end) throw new FrameError(`${bytes.length - end} bytes after the end of the request`)
  return { kind, env: decodeEnv(bytes.subarray(REQUEST_HEADER_BYTES, bodyStart)), body: bytes.subarray(bodyStart) }
}

/** How long the whole request is, in bytes, from its header that decodeRequest has accepted. */
export function requestBytes(header: Buffer): number {
  return REQUEST_HEADER_BYTES + header.readUInt32BE(8) + header.readUInt32BE(12)
}

export function encodeAnswer(answer: Answer): Buffer {
  const header = Buffer.alloc(ANSWER_HEADER_BYTES)
  header.write(MAGIC)
  header.writeUInt32BE(answer.exitCode, 4)
  header.writeUInt32BE(answer.body.length, 8)
  return Buffer.concat([header, answer.body])
}

/** @see decodeRequest: the same contract */
export function decodeAnswer(bytes: Buffer): Answer | undefined {
  checkMagic(bytes)
  if (bytes.length < ANSWER_HEADER_BYTES) return undefined
  const bodyBytes = bytes.readUInt32BE(8)
  if (bodyBytes > MAX_ANSWER_BYTES)
    throw new FrameError(`answer of ${bodyBytes} bytes; at most ${MAX_ANSWER_BYTES} are taken`)
  const end = ANSWER_HEADER_BYTES + bodyBytes
  if (bytes.length < end) return undefined
  if (bytes.length > end) throw new FrameError(`${bytes.length - end} bytes after the end of the answer`)
  return { exitCode: bytes.readUInt32BE(4), body: bytes.subarray(ANSWER_HEADER_BYTES) }
}

function checkMagic(bytes: Buffer): void {
  const arrived = Math.min(bytes.length, MAGIC.length)
  if (bytes.toString('latin1', 0, arrived) !== MAGIC.slice(0, arrived))
    throw new FrameError(`does not begin with "${MAGIC}": not a frame of ours`)
}

function decodeEnv(bytes: Buffer): Record<string, string> {
  const env: Record<string, string> = Object.create(null)
  for (const entry of bytes.toString('utf8').split('\0')) {
    const equals = entry.indexOf('=')
    if (equals > 0) env[entry.slice(0, equals)] = entry.slice(equals + 1)
  }
  return env
}
