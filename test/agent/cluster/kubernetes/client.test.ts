import { execFileSync } from 'node:child_process'
import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import type { ApiAccess } from '../../../../agent/cluster/kubernetes/access.ts'
import type { WatchEvent } from '../../../../agent/cluster/kubernetes/answers.ts'
import { ApiClient, type Timeouts } from '../../../../agent/cluster/kubernetes/client.ts'
import { ApiDouble, type ApiDoubleOptions } from './api-double.ts'
import { CertificateAuthority } from './certificates.ts'
import { until } from './until.ts'

const NODES = '/api/v1/nodes'
const never = new AbortController().signal

interface Fixture {
  readonly double: ApiDouble
  client(access?: Partial<ApiAccess>, timeouts?: Partial<Timeouts>): ApiClient
}

/** A double, and clients of it; all gone when the test ends. */
async function fixture(t: Test, options?: ApiDoubleOptions): Promise<Fixture> {
  const double = await ApiDouble.start(options)
  t.teardown(() => double.close())
  return {
    double,
    client(access, timeouts) {
      const client = new ApiClient({ server: double.url, skipsTlsVerify: false, ...access }, timeouts)
      t.teardown(() => client.close())
      return client
    },
  }
}

function put(double: ApiDouble, ...names: readonly string[]): void {
  for (const name of names) double.objects.put(NODES, { metadata: { name } })
}

async function list(client: ApiClient, path = NODES, limit?: number): Promise<string[]> {
  const names: string[] = []
  await client.list(path, never, ({ metadata }) => names.push(metadata.name), limit)
  return names
}

t.test('get brings one object, as the server has it', async (t) => {
  const { double, client } = await fixture(t)
  put(double, 'pi-1')
  t.match(await client().get(`${NODES}/pi-1`, never), { kind: 'Node', metadata: { name: 'pi-1' } })
})

t.test('a list comes in pages of one moment, whatever happens between them', async (t) => {
  const { double, client } = await fixture(t)
  put(double, 'a', 'b', 'c', 'd', 'e')
  const version = String(double.objects.version)
  const names: string[] = []
  const listed = await client().list(
    NODES,
    never,
    ({ metadata }) => {
      double.objects.delete(NODES, 'e')
      names.push(metadata.name)
    },
    2,
  )
  t.same(names, ['a', 'b', 'c', 'd', 'e'])
  t.equal(double.count('list'), 3)
  t.equal(listed, version)
})

t.test('namespaced resources and groups have paths of their own', async (t) => {
  const { double, client } = await fixture(t)
  const path = '/apis/networking.k8s.io/v1/networkpolicies'
  for (const namespace of ['one', 'two']) double.objects.put(path, { metadata: { name: 'deny', namespace } })
  t.same(await list(client(), path), ['deny', 'deny'])
  t.same(await list(client(), '/apis/networking.k8s.io/v1/namespaces/two/networkpolicies'), ['deny'])
})

t.test('a merge patch changes what it names and brings the object as it is then', async (t) => {
  const { double, client } = await fixture(t)
  double.objects.put(NODES, { metadata: { name: 'pi-1', annotations: { keep: '1', drop: '2' } } })
  const patch = { metadata: { annotations: { drop: null, add: 'ö' } } }
  const after = await client().mergePatch(`${NODES}/pi-1`, patch, never)
  t.same(after.metadata.annotations, { keep: '1', add: 'ö' })
  t.match(double.requests.at(-1), { verb: 'patch', query: { fieldManager: 'bramble-agent' } })
})

t.test('a refusal has the status, the reason and the message of the server', async (t) => {
  const { double, client } = await fixture(t, { tokens: new Set(['good']) })
  await t.rejects(client().get(`${NODES}/pi-1`, never), { code: 'API', status: 401, reason: 'Unauthorized' })
  const good = client({ token: { text: 'good' } })
  await t.rejects(good.get(`${NODES}/pi-1`, never), {
    code: 'API',
    status: 404,
    reason: 'NotFound',
    words: 'nodes "pi-1" not found',
    request: 'GET /api/v1/nodes/pi-1',
  })
  double.forbidden.add('list nodes')
  await t.rejects(list(good), { code: 'API', status: 403, reason: 'Forbidden', words: /cannot list resource "nodes"/ })
  await t.rejects(list(good, '/api/v1/nothing'), {
    code: 'API',
    status: 404,
    reason: 'Not Found',
    words: '404 page not found',
  })
})

t.test('Retry-After is heard, up to a minute', async (t) => {
  const { double, client } = await fixture(t)
  for (const [header, retryAfterMs] of [
    ['7', 7_000],
    ['99999', 60_000],
    ['Wed, 21 Oct 2026 07:28:00 GMT', 0],
  ] as const) {
    double.fault = () => ({
      kind: 'answer',
      status: 429,
      headers: { 'retry-after': header },
      body: 'Too many requests',
    })
    await t.rejects(list(client()), { code: 'API', status: 429, words: 'Too many requests', retryAfterMs })
  }
})

t.test('what is no answer of an API server is told as such', async (t) => {
  const { double, client } = await fixture(t)
  for (const [body, message] of [
    ['<html>Welcome to nginx</html>', /no JSON: <html>Welcome/],
    ['null', /no list: null/],
    ['{"kind":"Status"}', /no list/],
    ['{"kind":"NodeList","metadata":{"resourceVersion":"1"},"items":[{"metadata":{}}]}', /no object/],
  ] as const) {
    double.fault = () => ({ kind: 'answer', status: 200, body })
    await t.rejects(list(client()), { code: 'API_PROTOCOL', message })
  }
  await t.rejects(client().get(`${NODES}/x`, never), { code: 'API_PROTOCOL' })
})

t.test('an answer without end is refused before it fills the memory', async (t) => {
  const { double, client } = await fixture(t)
  const long = 'x'.repeat((8 << 20) + 1)
  for (const body of [`{"kind":"${long}`, `{"kind":"NodeList","items":[{"metadata":{"name":"${long}`]) {
    double.fault = () => ({ kind: 'answer', status: 200, body })
    await t.rejects(list(client()), { code: 'API_PROTOCOL', message: /of more than 8388608 bytes/ })
    await t.rejects(client().get(`${NODES}/a`, never), { code: 'API_PROTOCOL', message: /more than 8388608 bytes/ })
  }
})

t.test('a list that never comes to its end is refused', async (t) => {
  const { double, client } = await fixture(t)
  const body = '{"kind":"NodeList","metadata":{"resourceVersion":"1","continue":"x"},"items":[]}'
  double.fault = () => ({ kind: 'answer', status: 200, body })
  await t.rejects(list(client()), { code: 'API_PROTOCOL', message: /the same page for ever/ })
})

t.test('silence ends each step in its time: connecting, the head, the body', async (t) => {
  const { double, client } = await fixture(t)
  double.fault = () => ({ kind: 'silence' })
  await t.rejects(list(client({}, { headMs: 50 })), { code: 'UNREACHABLE', errno: 'ETIMEDOUT', words: /no answer/ })
  const mute = createServer() // takes connections, and never says a word of TLS
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve))
  t.teardown(() => mute.close())
  const server = `https://127.0.0.1:${(mute.address() as { port: number }).port}`
  await t.rejects(list(client({ server }, { connectMs: 50 })), {
    code: 'UNREACHABLE',
    errno: 'ETIMEDOUT',
    words: /no connection/,
  })
  const halfway = createServer((socket) =>
    socket.on('error', () => {}).write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{'),
  )
  await new Promise<void>((resolve) => halfway.listen(0, '127.0.0.1', resolve))
  t.teardown(() => halfway.close())
  const slow = `http://127.0.0.1:${(halfway.address() as { port: number }).port}`
  await t.rejects(list(client({ server: slow }, { bodyMs: 50 })), {
    code: 'UNREACHABLE',
    errno: 'ETIMEDOUT',
    words: /nothing more came/,
  })
})

t.test('a server that is merely slow is waited for', async (t) => {
  const { double, client } = await fixture(t)
  put(double, 'a')
  double.fault = () => ({ kind: 'slow', ms: 100 })
  t.same(await list(client()), ['a'])
})

t.test('a connection that breaks is told by the errno', async (t) => {
  const { double, client } = await fixture(t)
  put(double, 'a')
  for (const kind of ['reset', 'half'] as const) {
    double.fault = () => ({ kind })
    await t.rejects(list(client()), { code: 'UNREACHABLE', errno: 'ECONNRESET' })
  }
  const gone = client()
  await double.close()
  await t.rejects(list(gone), { code: 'UNREACHABLE', errno: 'ECONNREFUSED' })
})

t.test('one connection serves many requests', async (t) => {
  const { double, client } = await fixture(t)
  put(double, 'a', 'b', 'c')
  await list(client(), NODES, 1)
  t.equal(new Set(double.requests.map(({ port }) => port)).size, 1)
})

t.test('a request that waited for a connection of another one is given the time for its own answer', async (t) => {
  const { double, client } = await fixture(t)
  put(double, 'quick', 'slow')
  double.fault = ({ path }) => (path.endsWith('/slow') ? { kind: 'slow', ms: 1_500 } : undefined)
  const one = client({}, { connectMs: 1_000 })
  const quick = Array.from({ length: 32 }, () => one.get(`${NODES}/quick`, never))
  t.match(await one.get(`${NODES}/slow`, never), { metadata: { name: 'slow' } })
  await Promise.all(quick)
  t.ok(new Set(double.requests.map(({ port }) => port)).size <= 16)
})

t.test('a token is sent with each request, and who we are', async (t) => {
  const { double, client } = await fixture(t)
  put(double, 'a')
  await list(client({ token: { text: 'abc' } }))
  t.match(double.requests[0]?.headers, { authorization: 'Bearer abc', 'user-agent': /^bramble-agent\/\d/ })
})

t.test('an aborted request ends at once, whatever it waits for', async (t) => {
  const { double, client } = await fixture(t)
  double.fault = () => ({ kind: 'silence' })
  const abort = new AbortController()
  const asked = client().get(`${NODES}/a`, abort.signal)
  await until('the request is there', () => double.requests.length === 1)
  abort.abort()
  await t.rejects(asked, { name: 'AbortError' })
  await t.rejects(client().get(`${NODES}/a`, abort.signal), { name: 'AbortError' })
  t.equal(double.requests.length, 1)
})

t.test('over TLS', async (t) => {
  const ca = await CertificateAuthority.make()
  const stranger = await CertificateAuthority.make()
  t.teardown(() => {
    ca.remove()
    stranger.remove()
  })
  const server = await ca.issue({ alternative: 'IP:127.0.0.1,DNS:api.test' })

  t.test('the server is known by its authority', async (t) => {
    const { double, client } = await fixture(t, { tls: server })
    put(double, 'a')
    t.same(await list(client({ ca: { text: ca.cert } })), ['a'])
    await t.rejects(list(client({ ca: { text: stranger.cert } })), {
      code: 'UNREACHABLE',
      errno: /^UNABLE_TO_VERIFY|^CERT_SIGNATURE/,
    })
    await t.rejects(list(client()), { code: 'UNREACHABLE', errno: /^UNABLE_TO_VERIFY/ })
    t.same(await list(client({ skipsTlsVerify: true })), ['a'])
  })

  t.test('by the name of its address, or by tls-server-name', async (t) => {
    const named = await ca.issue({ alternative: 'DNS:api.test' })
    const { double, client } = await fixture(t, { tls: named })
    put(double, 'a')
    await t.rejects(list(client({ ca: { text: ca.cert } })), {
      code: 'UNREACHABLE',
      errno: 'ERR_TLS_CERT_ALTNAME_INVALID',
    })
    t.same(await list(client({ ca: { text: ca.cert }, serverName: 'api.test' })), ['a'])
  })

  t.test('a client certificate is a user', async (t) => {
    const { double, client } = await fixture(t, { tls: { ...server, ca: ca.cert } })
    put(double, 'a')
    const { cert, key } = await ca.issue()
    const user = { clientCertificate: { text: cert }, clientKey: { text: key } }
    t.same(await list(client({ ca: { text: ca.cert }, ...user })), ['a'])
    await t.rejects(list(client({ ca: { text: ca.cert } })), { code: 'API', status: 401 })
  })

  t.test('a certificate of tomorrow or of yesterday is told by the clock', async (t) => {
    for (const [times, errno] of [
      [{ start: '20990101000000Z', end: '20991231000000Z' }, 'CERT_NOT_YET_VALID'],
      [{ start: '20000101000000Z', end: '20001231000000Z' }, 'CERT_HAS_EXPIRED'],
    ] as const) {
      const tls = await ca.issue({ alternative: 'IP:127.0.0.1', ...times })
      const { client } = await fixture(t, { tls })
      await t.rejects(list(client({ ca: { text: ca.cert } })), { code: 'UNREACHABLE', errno })
    }
  })

  t.test('https to a server that speaks http', async (t) => {
    const { double, client } = await fixture(t)
    await t.rejects(list(client({ server: double.url.replace('http:', 'https:') })), {
      code: 'UNREACHABLE',
      errno: /^(EPROTO|ERR_SSL_|ECONNRESET)/,
    })
  })
})

t.test('a watch', async (t) => {
  const query = { resourceVersion: '1000', allowWatchBookmarks: 'true' }

  /** Watches until it ends. */
  function watch(client: ApiClient, signal = never) {
    const events: WatchEvent[] = []
    const ended = client.watch(
      NODES,
      query,
      signal,
      () => {},
      (event) => events.push(event),
    )
    ended.catch(() => {})
    return { events, ended }
  }

  t.test('tells events as they come, and ends when the server says so', async (t) => {
    const { double, client } = await fixture(t)
    const { events, ended } = watch(client())
    put(double, 'a', 'ö')
    double.objects.delete(NODES, 'a')
    await until('three events', () => events.length === 3)
    double.bookmark()
    await until('a bookmark', () => events.length === 4)
    for (const one of double.watches) one.end()
    await ended
    t.match(events, [
      { type: 'ADDED', object: { kind: 'Node', metadata: { name: 'a', resourceVersion: '1001' } } },
      { type: 'ADDED', object: { metadata: { name: 'ö' } } },
      { type: 'DELETED', object: { metadata: { name: 'a', resourceVersion: '1003' } } },
      { type: 'BOOKMARK', object: { metadata: { resourceVersion: '1003' } } },
    ])
  })

  t.test('is put together from pieces, characters cut in two among them', async (t) => {
    const { double, client } = await fixture(t)
    const { events } = watch(client())
    await until('it is open', () => double.watches.size === 1)
    const line = Buffer.from('{"type":"ADDED","object":{"metadata":{"name":"🥧"}}}\n')
    for (const byte of line) {
      for (const one of double.watches) one.send(Buffer.from([byte]))
      await new Promise(setImmediate)
    }
    await until('the event', () => events.length === 1)
    t.equal(events[0]?.object.metadata.name, '🥧')
  })

  t.test('that breaks off in the middle of an event tells no half of it', async (t) => {
    const { double, client } = await fixture(t)
    const { events, ended } = watch(client())
    await until('it is open', () => double.watches.size === 1)
    for (const one of double.watches) one.cut()
    await t.rejects(ended, { code: 'UNREACHABLE' })
    t.same(events, [])
  })

  t.test('that ends in good order but in the middle of an event has broken off, too', async (t) => {
    const { double, client } = await fixture(t)
    const { ended } = watch(client())
    await until('it is open', () => double.watches.size === 1)
    for (const one of double.watches) {
      one.send('{"type":"ADD')
      one.end()
    }
    await t.rejects(ended, { code: 'UNREACHABLE', words: 'it ended in the middle of an event' })
  })

  t.test('of which nothing is heard for long is given up', async (t) => {
    const { ended } = watch((await fixture(t)).client({}, { watchMs: 50 }))
    await t.rejects(ended, { code: 'UNREACHABLE', errno: 'ETIMEDOUT', words: /nothing more came for 0\.05 s/ })
  })

  t.test('is not given up while bookmarks come', async (t) => {
    const { double, client } = await fixture(t, { bookmarkEveryMs: 20 })
    const { events, ended } = watch(client({}, { watchMs: 3_000 }))
    await until('bookmarks for longer than that', () => events.length > 160)
    for (const one of double.watches) one.end()
    await ended
  })

  t.test('has its connection probed by the kernel, so that a peer without power is found out', async (t) => {
    const { double, client } = await fixture(t)
    watch(client())
    await until('it is open', () => double.watches.size === 1)
    const sockets = execFileSync('ss', ['-Htno', 'state', 'established', 'dst', `127.0.0.1:${double.port}`])
    t.match(sockets.toString(), /timer:\(keepalive,(1\d|2\d|20)sec/)
  })

  t.test('tells an error event as the refusal that it is', async (t) => {
    const { double, client } = await fixture(t)
    put(double, 'a')
    double.compact()
    await t.rejects(watch(client()).ended, { code: 'API', status: 410, reason: 'Expired', words: /^too old resource/ })
    double.goneAs = 'status'
    await t.rejects(watch(client()).ended, { code: 'API', status: 410, reason: 'Expired' })
  })

  t.test('refuses rubbish, and lines without end', async (t) => {
    const { double, client } = await fixture(t)
    for (const [rubbish, message] of [
      ['rubbish\n', /no JSON: rubbish/],
      ['{"type":"ADDED"}\n', /no event/],
      ['{"type":"BOOKMARK","object":{"metadata":{}}}\n', /no event/],
      ['{"type":"OTHER","object":{"metadata":{"name":"a"}}}\n', /no event/],
      ['null\n', /no event: null/],
      ['x'.repeat((8 << 20) + 1), /a line of more than 8388608 bytes/],
    ] as const) {
      const { ended } = watch(client())
      await until('it is open', () => double.watches.size === 1)
      for (const one of double.watches) one.send(rubbish)
      await t.rejects(ended, { code: 'API_PROTOCOL', message })
      await until('it is closed', () => double.watches.size === 0)
    }
  })

  t.test('ends when it is aborted', async (t) => {
    const { double, client } = await fixture(t)
    const abort = new AbortController()
    const { ended } = watch(client(), abort.signal)
    await until('it is open', () => double.watches.size === 1)
    abort.abort()
    await t.rejects(ended, { name: 'AbortError' })
    await until('it is closed', () => double.watches.size === 0)
  })
})
