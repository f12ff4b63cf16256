import { writeFileSync } from 'node:fs'
import t from 'tap'
import { parseEndpoint } from '../../../../agent/cluster/redis/endpoint.ts'

t.test('host, port, database, user and password are read from the URL; its name has no password', async (t) => {
  t.match(parseEndpoint('redis://pi:s%40fe@10.0.0.1:7000/5'), {
    name: 'redis://10.0.0.1:7000',
    options: { host: '10.0.0.1', port: 7000, db: 5, username: 'pi', password: 's@fe' },
  })
  t.match(parseEndpoint('redis://:safe@store'), {
    name: 'redis://store:6379',
    options: { host: 'store', port: 6379, db: 0, username: 'default', password: 'safe' },
  })
  t.match(parseEndpoint('rediss://[fd42::1]'), {
    name: 'rediss://[fd42::1]:6379',
    options: { host: 'fd42::1', tls: {} },
  })
  t.equal(parseEndpoint('redis://:safe@store').redact('user safe is unsafe'), 'user *** is un***')
})

t.test('a URL that cannot be used is refused and not repeated', async (t) => {
  for (const url of [
    '',
    'store:6379',
    'http://:secret@store',
    'redis://:secret@',
    'redis://:secret@store/five',
    'redis://:secr%et@store',
  ])
    try {
      parseEndpoint(url)
      t.fail(url)
    } catch (error) {
      t.match(error, { code: 'JOIN', message: /URL of Redis/ }, url)
      t.notMatch((error as Error).message, /secr/)
    }
})

t.test('files for TLS are read for each connection, and are what they were while they cannot be read', async (t) => {
  const folder = t.testdir({ 'ca.crt': 'one' })
  const { tls } = parseEndpoint('rediss://store', { caFile: `${folder}/ca.crt` }).options
  const ca = () => String((tls as { ca: Buffer }).ca)
  t.equal(ca(), 'one')
  writeFileSync(`${folder}/ca.crt`, 'two')
  t.equal(ca(), 'two')
  t.testdir({})
  t.equal(ca(), 'two')
})

t.test('TLS that cannot be had is refused by name', async (t) => {
  const { testdirName } = t
  t.throws(() => parseEndpoint('rediss://store', { caFile: `${testdirName}/none` }), {
    code: 'JOIN',
    message: `${testdirName}/none, for TLS with Redis, cannot be read: ENOENT`,
  })
  t.throws(() => parseEndpoint('redis://store', { caFile: '/ca' }), { code: 'JOIN', message: /write rediss:/ })
  t.throws(() => parseEndpoint('rediss://store', { certFile: '/cert' }), { code: 'JOIN', message: /go together/ })
})
