import fc from 'fast-check'
import t from 'tap'
import {
  ANSWER_HEADER_BYTES,
  type Answer,
  decodeAnswer,
  decodeRequest,
  encodeAnswer,
  encodeRequest,
  FrameError,
  KIND,
  type Kind,
  MAGIC,
  MAX_ANSWER_BYTES,
  MAX_BODY_BYTES,
  MAX_ENV_BYTES,
  REQUEST_HEADER_BYTES,
  type Request,
} from '../../plugin/frame.ts'

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array))

// What the environment of a process can hold: no NUL anywhere, no '=' in a key, and text that is UTF-8.
const value = fc.string({ unit: 'binary', maxLength: 40 }).map((text) => text.replaceAll('\0', ''))
const key = fc.oneof(
  fc.constantFrom('CNI_COMMAND', 'CNI_ARGS', '__proto__', 'constructor', '7'),
  value.map((text) => `K${text.replaceAll('=', '')}`),
)
const request: fc.Arbitrary<Request> = fc.record({
  kind: fc.constantFrom(...(Object.keys(KIND) as Kind[])),
  env: fc.dictionary(key, value, { maxKeys: 8, noNullPrototype: false }),
  body: bytes(300),
})
const answer: fc.Arbitrary<Answer> = fc.record({ exitCode: fc.nat(255), body: bytes(300) })

/** The header of a request whose rest is still to come. */
function requestHeader(kind: number, envBytes: number, bodyBytes: number): Buffer {
  const header = Buffer.alloc(REQUEST_HEADER_BYTES)
  header.write(MAGIC)
  header.writeUInt32BE(kind, 4)
  header.writeUInt32BE(envBytes, 8)
  header.writeUInt32BE(bodyBytes, 12)
  return header
}

/** Decodes, and takes a FrameError for an answer too: what else is thrown fails the test. */
function outcome<T>(decode: (bytes: Buffer) => T | undefined, input: Buffer): T | undefined | FrameError {
  try {
    return decode(input)
  } catch (error) {
    if (error instanceof FrameError) return error
    throw error
  }
}

t.test('a request comes out as it went in', async () => {
  fc.assert(
    fc.property(request, (given) => {
      const decoded = decodeRequest(encodeRequest(given))
      const entries = (env: object) => JSON.stringify(Object.entries(env))
      return (
        decoded !== undefined &&
        decoded.kind === given.kind &&
        entries(decoded.env) === entries(given.env) &&
        decoded.body.equals(given.body)
      )
    }),
  )
})

t.test('an answer comes out as it went in', async () => {
  fc.assert(
    fc.property(answer, (given) => {
      const decoded = decodeAnswer(encodeAnswer(given))
      return decoded !== undefined && decoded.exitCode === given.exitCode && decoded.body.equals(given.body)
    }),
  )
})

t.test('of a frame that is still arriving every prefix is undefined', async () => {
  fc.assert(
    fc.property(
      request,
      answer,
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (asked, said, share) => {
        const cut = (whole: Buffer) => whole.subarray(0, Math.floor(whole.length * share))
        return (
          decodeRequest(cut(encodeRequest(asked))) === undefined && decodeAnswer(cut(encodeAnswer(said))) === undefined
        )
      },
    ),
  )
})

t.test('a byte behind the end is refused', async (t) => {
  const more = (whole: Buffer) => Buffer.concat([whole, Buffer.from('x')])
  t.throws(() => decodeRequest(more(encodeRequest({ kind: 'cni', env: {}, body: Buffer.from('{}') }))), {
    code: 'FRAME',
    message: '1 bytes after the end of the request',
  })
  t.throws(() => decodeAnswer(more(encodeAnswer({ exitCode: 0, body: Buffer.from('{}') }))), {
    code: 'FRAME',
    message: '1 bytes after the end of the answer',
  })
})

t.test('noise is waited for or refused, and never crashes', async () => {
  const behindMagic = bytes(64).map((rest) => Buffer.concat([Buffer.from(MAGIC), rest]))
  // Small numbers in the header, so that lengths which fit are met as well.
  const likely = fc
    .tuple(fc.nat(3), fc.nat(20), fc.nat(20), bytes(64))
    .map(([kind, envBytes, bodyBytes, rest]) => Buffer.concat([requestHeader(kind, envBytes, bodyBytes), rest]))
  fc.assert(
    fc.property(fc.oneof(bytes(64), behindMagic, likely), (noise) => {
      outcome(decodeRequest, noise)
      outcome(decodeAnswer, noise)
    }),
    { numRuns: 2000 },
  )
})

t.test('what is not our frame is refused at its first wrong byte', async (t) => {
  for (const stranger of ['G', 'BX', 'BRM2', 'GET / HTTP/1.1\r\n']) {
    t.throws(() => decodeRequest(Buffer.from(stranger)), { code: 'FRAME' })
    t.throws(() => decodeAnswer(Buffer.from(stranger)), { code: 'FRAME' })
  }
  t.equal(decodeRequest(Buffer.alloc(0)), undefined)
  t.equal(decodeAnswer(Buffer.from('BRM')), undefined)
})

t.test('an unknown kind of request is refused by its number', async (t) => {
  for (const kind of [0, 3, 0xffff_ffff])
    t.throws(() => decodeRequest(requestHeader(kind, 0, 0)), { message: `unknown kind of request: ${kind}` })
})

t.test('a frame above its limits is refused by its header alone', async (t) => {
  t.equal(decodeRequest(requestHeader(KIND.cni, MAX_ENV_BYTES, MAX_BODY_BYTES)), undefined)
  t.throws(() => decodeRequest(requestHeader(KIND.cni, MAX_ENV_BYTES + 1, 0)), {
    message: /^environment of 65537 bytes/,
  })
  t.throws(() => decodeRequest(requestHeader(KIND.cni, 0, MAX_BODY_BYTES + 1)), { message: /^body of 1048577 bytes/ })
  t.throws(() => decodeRequest(requestHeader(KIND.cni, 0xffff_ffff, 0xffff_ffff)), { code: 'FRAME' })

  const header = encodeAnswer({ exitCode: 0, body: Buffer.alloc(0) })
  t.equal(header.length, ANSWER_HEADER_BYTES)
  header.writeUInt32BE(MAX_ANSWER_BYTES, 8)
  t.equal(decodeAnswer(header), undefined)
  header.writeUInt32BE(MAX_ANSWER_BYTES + 1, 8)
  t.throws(() => decodeAnswer(header), { message: /^answer of 16777217 bytes/ })
})

t.test('an environment with odd entries gives the good ones', async (t) => {
  const env = Buffer.from('CNI_A=1\0novalue\0=nokey\0\0CNI_B=x=y\0CNI_C=\0CNI_D=no NUL behind it')
  const decoded = decodeRequest(Buffer.concat([requestHeader(KIND.cni, env.length, 0), env]))
  t.same({ ...decoded?.env }, { CNI_A: '1', CNI_B: 'x=y', CNI_C: '', CNI_D: 'no NUL behind it' })
})

t.test('a variable named __proto__ is a variable', async (t) => {
  const env = Buffer.from('__proto__=evil\0')
  const decoded = decodeRequest(Buffer.concat([requestHeader(KIND.cni, env.length, 0), env]))
  t.same(Object.entries(decoded?.env ?? {}), [['__proto__', 'evil']])
  t.equal(Object.getPrototypeOf({}), Object.prototype)
})
