import fc from 'fast-check'
import t from 'tap'
import { HEAD_BYTES_MAX, parseHead, renderAnswer, text } from '../../../agent/observe/http-request.ts'

const parse = (head: string) => parseHead(Buffer.from(head, 'latin1'))

t.test('a request is its method and its path, however it names the host and whatever it asks besides', async (t) => {
  const tail = ' HTTP/1.1\r\nHost: pi\r\n\r\n'
  t.same(parse(`GET /metrics${tail}`), { method: 'GET', path: '/metrics' })
  t.same(parse(`HEAD /metrics?name[]=x${tail}`), { method: 'HEAD', path: '/metrics' })
  t.same(parse(`GET http://pi:9739/healthz#x${tail}`), { method: 'GET', path: '/healthz' })
  t.same(parse('GET / HTTP/1.0\r\n\r\n'), { method: 'GET', path: '/' })
})

t.test('half of a head is waited for, at whatever byte it is cut', async (t) => {
  const whole = 'GET /metrics HTTP/1.1\r\nHost: pi\r\n\r\n'
  for (let length = 0; length < whole.length; length++) t.equal(parse(whole.slice(0, length)), undefined)
})

t.test('what is no request of ours is refused with the status that says why', async (t) => {
  const statusOf = (head: string) => (parse(head) as { status?: number }).status
  t.equal(statusOf('POST /metrics HTTP/1.1\r\n\r\n'), 405)
  t.equal(statusOf('GET /metrics HTTP/2.0\r\n\r\n'), 400)
  t.equal(statusOf('GET /me trics HTTP/1.1\r\n\r\n'), 400)
  t.equal(statusOf('\x16\x03\x01\x02\r\n\r\n'), 400)
  t.equal(statusOf('x'.repeat(HEAD_BYTES_MAX + 1)), 431)
  t.equal(statusOf(`GET / HTTP/1.1\r\nA: ${'x'.repeat(HEAD_BYTES_MAX)}\r\n\r\n`), 431)
})

t.test('no bytes make it throw', async (t) => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void parseHead(Buffer.from(bytes))))
  t.pass()
})

t.test('an answer says how long it is in bytes; to HEAD it has no body', async (t) => {
  t.match(
    renderAnswer(text(200, 'ö'), 'GET').toString(),
    /^HTTP\/1\.1 200 OK\r\n.*Content-Length: 3\r\n.*\r\n\r\nö\n$/s,
  )
  t.match(renderAnswer(text(404, 'ö'), 'HEAD').toString(), /Content-Length: 3\r\n.*\r\n\r\n$/s)
})
