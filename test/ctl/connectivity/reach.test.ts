import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import t from 'tap'
import { attempt, longestMs } from '../../../ctl/connectivity/attempts.ts'
import { TEST_SECONDS_MAX } from '../../../ctl/connectivity/objects.ts'
import type { Outcome, Probe } from '../../../ctl/connectivity/probe.ts'
import { reach } from '../../../ctl/connectivity/reach.ts'
import { ProbeServer } from '../../../ctl/connectivity/server.ts'

const probe = (more: Partial<Probe>): Probe => ({
  id: 0,
  kind: 'tcp',
  target: '127.0.0.1',
  expects: 'reached',
  patienceMs: 0,
  ...more,
})

/** A port that nobody has at this moment. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

const port = await freePort()
const server = await ProbeServer.listen('server-0', port)
t.after(() => server.close())

t.test('a server of ours is reached by TCP and UDP, in both families, and sees who asks', async (t) => {
  for (const target of ['127.0.0.1', '::1'])
    for (const kind of ['tcp', 'udp'] as const)
      t.match(await reach(probe({ kind, target, port, answerers: ['server-0'], keepsSource: true })), {
        isReached: true,
        words: /^\d+\.\d ms$/,
      })
})

t.test('another pod at the address is no success', async (t) => {
  for (const kind of ['tcp', 'udp'] as const)
    t.match(await reach(probe({ kind, port, answerers: ['server-9'] })), {
      isReached: false,
      words: 'server-0 answers there, which is another pod',
    })
})

t.test('nobody there, and one that begins and ends too early, are told', async (t) => {
  const closed = await freePort()
  t.match(await reach(probe({ port: closed })), { isReached: false, words: /ECONNREFUSED/ })
  t.match(await reach(probe({ kind: 'udp', port: closed })), { isReached: false, words: /ECONNREFUSED|no answer/ })
  const short = createServer((socket) => socket.end('{"name":"server-0","peer":""}\n'))
  short.listen(closed, '127.0.0.1')
  await once(short, 'listening')
  t.match(await reach(probe({ port: closed })), { isReached: false, words: /^the connection ended after \d+ bytes$/ })
  short.close()
})

t.test('a datagram that is never answered is not waited for for ever', async (t) => {
  const silent = createSocket('udp4').bind(0, '127.0.0.1')
  await once(silent, 'listening')
  const { port } = silent.address()
  t.match(await reach(probe({ kind: 'udp', port })), { isReached: false, words: 'no answer within 1.5 s' })
  silent.close()
})

t.test('a name is asked for as programs ask', async (t) => {
  t.match(await reach(probe({ kind: 'name', target: 'localhost', answerers: ['127.0.0.1', '::1'] })), {
    isReached: true,
  })
  t.match(await reach(probe({ kind: 'name', target: 'localhost', answerers: ['192.0.2.1'] })), {
    isReached: false,
    words: /^DNS says .*, and not 192\.0\.2\.1$/,
  })
})

t.test('it is tried again until it is as expected, or the patience is over', async (t) => {
  const outcomes: Outcome[] = []
  let tries = 0
  const later = async () =>
    (++tries < 3 ? { isReached: false, words: 'no' } : { isReached: true, words: 'yes' }) as never
  await attempt([probe({ patienceMs: 60_000 })], later, (outcome) => outcomes.push(outcome))
  t.same(outcomes, [{ id: 0, isGood: true, words: 'yes' }])
  t.equal(tries, 3)

  outcomes.length = 0
  const open = async () => ({ isReached: true, words: '1 ms' }) as const
  const shut = async () => ({ isReached: false, words: 'no connection' }) as const
  await attempt([probe({ expects: 'blocked' })], open, (outcome) => outcomes.push(outcome))
  await attempt([probe({ expects: 'blocked' })], shut, (outcome) => outcomes.push(outcome))
  await attempt([probe({})], shut, (outcome) => outcomes.push(outcome))
  t.same(outcomes, [
    { id: 0, isGood: false, words: 'it is let through, and a policy denies it (1 ms)' },
    { id: 0, isGood: true, words: 'blocked, as it should be' },
    { id: 0, isGood: false, words: 'no connection' },
  ])
})

t.test('patience counts from the beginning: many that fail do not wait one after the other', async (t) => {
  const shut = async () => ({ isReached: false, words: 'no connection' }) as const
  const probes = Array.from({ length: 8 }, (_, id) => probe({ id, patienceMs: 4_000 }))
  const startMs = performance.now()
  const outcomes: Outcome[] = []
  await attempt(probes, shut, (outcome) => outcomes.push(outcome))
  const tookMs = performance.now() - startMs
  t.equal(outcomes.length, 8)
  t.ok(tookMs > 7_000, 'the later ones have a little of their own: a packet may be lost')
  t.ok(tookMs < longestMs(probes), `${tookMs} ms`)
})

t.test('ten nodes with both families, of which nothing works, are told of before their pods end', (t) => {
  const open = Array.from({ length: 90 }, (_, id) => probe({ id, patienceMs: 10_000 }))
  const held = Array.from({ length: 20 }, (_, id) => probe({ id, patienceMs: 20_000 }))
  t.ok(longestMs(open) + longestMs(held) < TEST_SECONDS_MAX * 1000 - 3 * 90_000)
  t.equal(longestMs([]), 0)
  t.end()
})

t.end()
