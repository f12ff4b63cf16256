import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { MetricsServer, type Pages } from '../../../agent/observe/server.ts'
import { until } from '../cluster/kubernetes/until.ts'
import { openTestLog } from './log.ts'

const HOST = '127.0.0.1'
const PAGES: Pages = { metrics: async () => 'bramble_pods 1\n', unready: () => undefined }

async function serve(t: Test, pages: Partial<Pages> = {}, timeoutMs?: number) {
  const server = new MetricsServer({ host: HOST, port: 0 }, { ...PAGES, ...pages }, openTestLog().log, timeoutMs)
  t.teardown(() => server.close())
  await until('it listens', () => server.port !== undefined)
  const url = `http://${HOST}:${server.port}`
  return { server, url, get: async (path: string, init?: RequestInit) => fetch(`${url}${path}`, init) }
}

function dial(t: Test, port: number | undefined): Socket {
  const socket = connect(Number(port), HOST)
  socket.on('error', () => {})
  t.teardown(() => socket.destroy())
  return socket
}

/** However it ends: what is cut off may be a reset. */
const closed = (socket: Socket) => new Promise<void>((resolve) => socket.once('close', () => resolve()))

t.test('metrics are told as Prometheus reads them', async (t) => {
  const { get } = await serve(t)
  const response = await get('/metrics')
  t.equal(response.status, 200)
  t.equal(response.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  t.equal(await response.text(), 'bramble_pods 1\n')
})

t.test('/healthz says whether the agent serves, and what it waits for', async (t) => {
  let reason: string | undefined = 'it waits'
  const { get } = await serve(t, { unready: () => reason })
  const before = await get('/healthz')
  t.same([before.status, await before.text()], [503, 'it waits\n'])
  reason = undefined
  const after = await get('/healthz')
  t.same([after.status, await after.text()], [200, 'ok\n'])
})

t.test('what is not there and what is not allowed is said', async (t) => {
  const { get } = await serve(t)
  t.equal((await get('/')).status, 404)
  t.equal((await get('/metrics', { method: 'POST', body: 'x' })).status, 405)
  const head = await get('/metrics', { method: 'HEAD' })
  t.same([head.status, await head.text()], [200, ''])
})

t.test('metrics that cannot be told are an error, and told the next time', async (t) => {
  let isBroken = true
  const { get } = await serve(t, { metrics: async () => (isBroken ? Promise.reject(new Error('kernel')) : 'x 1\n') })
  t.equal((await get('/metrics')).status, 503)
  isBroken = false
  let status = 0
  for (const endMs = performance.now() + 20_000; status !== 200 && performance.now() < endMs; await delay(20))
    status = (await get('/metrics')).status
  t.equal(status, 200)
})

t.test('many who ask at the same time cost one look', async (t) => {
  let looks = 0
  const looked = Promise.withResolvers<string>()
  const { get } = await serve(t, {
    metrics: () => {
      looks++
      return looked.promise
    },
  })
  const answers = Array.from({ length: 10 }, async () => (await get('/metrics')).text())
  await until('one has asked', () => looks > 0)
  looked.resolve('x 1\n')
  t.same(new Set(await Promise.all(answers)), new Set(['x 1\n']))
  t.equal(looks, 1)
})

t.test('a look that takes long is the only one, however often somebody asks', async (t) => {
  let looks = 0
  const looked = Promise.withResolvers<string>()
  const metrics = () => {
    looks++
    return looked.promise
  }
  const { get } = await serve(t, { metrics })
  const first = get('/metrics')
  await until('one has asked', () => looks > 0)
  await delay(700) // longer than what was looked at is fresh
  const second = get('/metrics')
  await get('/healthz')
  looked.resolve('x 1\n')
  t.same([await (await first).text(), await (await second).text()], ['x 1\n', 'x 1\n'])
  t.equal(looks, 1)
  await delay(700)
  await get('/metrics')
  t.equal(looks, 2)
})

t.test('connections that ask nothing make room for one that does, which is said once', async (t) => {
  const { log, lines } = openTestLog()
  const server = new MetricsServer({ host: HOST, port: 0 }, PAGES, log)
  t.teardown(() => server.close())
  await until('it listens', () => server.port !== undefined)
  const silent: Socket[] = []
  for (let i = 0; i < 16; i++) {
    const socket = dial(t, server.port)
    silent.push(socket)
    await once(socket, 'connect')
  }
  const [first, second, third] = silent as [Socket, Socket, Socket]
  const gone = Promise.all([closed(first), closed(second)])
  for (let i = 0; i < 2; i++) {
    const late = dial(t, server.port)
    await once(late, 'connect')
  }
  await gone
  third.write('GET /healthz HTTP/1.1\r\n\r\n')
  const [chunk] = (await once(third, 'data')) as [Buffer]
  t.match(chunk.toString(), /^HTTP\/1.1 200 OK/, 'younger ones are left alone')
  t.equal(lines().filter(({ level }) => level === 40).length, 1)
})

t.test('connections that have their answer and stay make room, too', async (t) => {
  const { server, get } = await serve(t)
  const answered = Array.from({ length: 16 }, () =>
    connect({ port: server.port ?? 0, host: HOST, allowHalfOpen: true }),
  )
  t.teardown(() => {
    for (const socket of answered) socket.destroy()
  })
  for (const socket of answered) socket.on('error', () => {}).write('GET /healthz HTTP/1.1\r\n\r\n')
  await Promise.all(answered.map((socket) => once(socket, 'data')))
  t.equal((await get('/healthz')).status, 200)
})

t.test('while all who are there wait for an answer, others are let go', async (t) => {
  const looked = Promise.withResolvers<string>()
  let looks = 0
  const metrics = () => {
    looks++
    return looked.promise
  }
  const { server } = await serve(t, { metrics })
  const asking = Array.from({ length: 16 }, () => dial(t, server.port))
  for (const socket of asking) socket.write('GET /metrics HTTP/1.1\r\n\r\n')
  await until('one has asked', () => looks > 0)
  await delay(500) // all heads are there
  await closed(dial(t, server.port))
  const answers = Promise.all(asking.map((socket) => once(socket, 'data')))
  looked.resolve('x 1\n')
  t.equal((await answers).length, 16)
})

t.test('who says nothing is let go after a second', async (t) => {
  const { server } = await serve(t)
  const startMs = performance.now()
  await closed(dial(t, server.port))
  t.ok(performance.now() - startMs < 8_000, 'not only when the time for an answer is over')
})

t.test('who sends its request byte by byte, or never, is let go in time', async (t) => {
  const { server, get } = await serve(t, {}, 200)
  const silent = dial(t, server.port)
  const slow = dial(t, server.port)
  const timer = setInterval(() => slow.write('x'), 10)
  t.teardown(() => clearInterval(timer))
  await Promise.all([closed(silent), closed(slow)])
  t.equal((await get('/healthz')).status, 200)
})

t.test('who does not read its answer is let go in time', async (t) => {
  const { server, get } = await serve(t, { metrics: async () => 'x'.repeat(32 << 20) }, 300)
  const deaf = dial(t, server.port)
  deaf.pause()
  await once(deaf, 'connect')
  deaf.write('GET /metrics HTTP/1.1\r\n\r\n')
  await delay(600) // far above its time; only what nobody has read yet may still come
  let bytes = 0
  deaf.on('data', (chunk) => (bytes += chunk.length)).resume()
  await closed(deaf)
  t.ok(bytes < 32 << 20, 'it was cut off')
  t.equal((await get('/healthz')).status, 200)
})

t.test('a port that is taken is told with the remedy, and taken over when it is free', async (t) => {
  const other = createServer().listen(0, HOST)
  await once(other, 'listening')
  const { port } = other.address() as AddressInfo
  const { log, lines } = openTestLog()
  const server = new MetricsServer({ host: HOST, port }, PAGES, log)
  t.teardown(() => server.close())
  await until('it says so', () => server.problems.length > 0)
  t.match(
    server.problems[0],
    `metrics: ${HOST}:${port} is taken by another program; find it with "ss -tlnp sport = :${port}", or choose another --metrics-address`,
  )
  other.close()
  await until('it listens', () => server.port === port)
  t.same(server.problems, [])
  t.same(
    lines().map(({ level }) => level),
    [40, 30],
    'said once, and that it is over',
  )
})

t.test('an address that the node does not have is told', async (t) => {
  const server = new MetricsServer({ host: '192.0.2.7', port: 9739 }, PAGES, openTestLog().log)
  t.teardown(() => server.close())
  await until('it says so', () => server.problems.length > 0)
  t.match(server.problems[0], 'this node has no address 192.0.2.7')
})
