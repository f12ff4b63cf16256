import { copyFileSync, writeFileSync } from 'node:fs'
import { Writable } from 'node:stream'
import { pino } from 'pino'
import t from 'tap'
import { Member, until } from './member.ts'
import { RedisServer, type ServerSettings } from './server.ts'

const SECRET = 'correct-horse-battery-staple'
const USER = `user pi on >${SECRET} ~bramble:* +@all`
const withPassword = (url: string, password = SECRET) => url.replace('://', `://pi:${password}@`)

/** All that a member and what it uses ever say: its log, its problems, and the console. */
function listen(t: Parameters<typeof RedisServer.start>[0]) {
  const said: string[] = []
  const stream = new Writable({
    write(chunk, _, done) {
      said.push(String(chunk))
      done()
    },
  })
  for (const one of [process.stdout, process.stderr] as const) {
    const { write } = one
    one.write = ((...args: Parameters<typeof write>) => {
      said.push(String(args[0]))
      return write.apply(one, args)
    }) as typeof write
    t.teardown(() => {
      one.write = write
    })
  }
  const hear = (member: Member) => said.push(member.reasons)
  return { log: pino({ level: 'trace' }, stream), hear, text: () => said.join('\n') }
}

/** Joins, and what it is told meanwhile is one thing after the other. */
function joining(member: Member): Promise<string[]> {
  const joined = member.join()
  joined.catch(() => {})
  return joined
}

t.test('with the right CA, or a certificate where one is wanted, a node joins over TLS', async (t) => {
  const { url, path } = await startWithTls(t, { lines: ['tls-auth-clients yes'] })
  const tls = { caFile: path('ca.crt'), certFile: path('redis.crt'), keyFile: path('redis.key') }
  const member = await Member.start(t, url, 'pi-1', { tls })
  t.same(member.shown, ['pi-1 10.42.0.0/24'])
  t.equal(member.reasons, '')
})

t.test('TLS that does not come about is told in words, and a node that waits goes on as soon as it does', async (t) => {
  const { url, path } = await startWithTls(t)
  const caFile = path('ca.crt')
  for (const [what, to, tls, reason] of [
    ['a CA of somebody else', url, { caFile: path('other-ca.crt') }, /not trusted \([A-Z_]+\); .*--redis-ca/],
    ['no CA', url, {}, /not trusted \([A-Z_]+\); .*--redis-ca/],
    ['a host that the certificate has not', url.replace('127.0.0.1', 'localhost'), { caFile }, /for another host/],
    ['no TLS', url.replace('rediss:', 'redis:'), undefined, /not reachable \((ECONNRESET|connection closed)/],
  ] as const) {
    const member = new Member(t, to, 'pi-1', { ...(tls && { tls }) })
    joining(member).then(
      () => t.fail(`${what}: joined`),
      () => {},
    )
    await until(what, () => reason.test(member.reasons))
    t.match(member.problems, [{ object: to.replace(/\/$/, ''), reason: /^(?!.*the last view stays)/ }], what)
    await member.source.close()
  }
})

t.test('TLS files that are none are told, and right as soon as they are', async (t) => {
  const { url, path } = await startWithTls(t)
  for (const [file, option] of [
    ['ca.pem', 'caFile'],
    ['cert.pem', 'certFile'],
    ['key.pem', 'keyFile'],
  ] as const) {
    const tls = { caFile: path('ca.crt'), certFile: path('redis.crt'), keyFile: path('redis.key') }
    writeFileSync(path(file), '-----BEGIN NOISE-----')
    const member = new Member(t, url, 'pi-1', { tls: { ...tls, [option]: path(file) } })
    const joined = joining(member)
    await until(file, () => member.reasons !== '')
    t.match(member.reasons, /--redis-ca/, file)
    copyFileSync(tls[option], path(file))
    t.same(await joined, ['10.42.0.0/24'])
    await member.source.close()
  }
})

t.test('a client certificate that is missing is told', async (t) => {
  const { url, path } = await startWithTls(t, { lines: ['tls-auth-clients yes'] })
  const member = new Member(t, url, 'pi-1', { tls: { caFile: path('ca.crt') } })
  joining(member)
  await until('it is told', () => /--redis-cert/.test(member.reasons))
  t.pass()
})

t.test(
  'a wrong password, a missing one, an unknown user: told without any of it, and right as soon as it is',
  async (t) => {
    const { url, admin } = await RedisServer.start(t, { acl: USER })
    await admin.call('ACL', 'SETUSER', 'default', 'resetpass', '>another')
    const { log, hear, text } = listen(t)
    for (const [what, to, reason] of [
      ['wrong', withPassword(url, 'wrong-horse'), /\(WRONGPASS\); .*--redis-url/],
      ['unknown', url.replace('://', `://nobody:${SECRET}@`), /\(WRONGPASS\)/],
      ['missing', url, /\(NOAUTH\)/],
    ] as const) {
      const member = new Member(t, to, 'pi-1', { log })
      joining(member)
      await until(what, () => reason.test(member.reasons))
      hear(member)
      await member.source.close()
    }
    const member = new Member(t, withPassword(url, 'new-horse'), 'pi-1', { log })
    const joined = joining(member)
    await until('it is refused', () => /WRONGPASS/.test(member.reasons))
    await admin.call('ACL', 'SETUSER', 'pi', '>new-horse')
    t.same(await joined, ['10.42.0.0/24'])
    await until('nothing is wrong any more', () => member.reasons === '')
    t.notMatch(text(), /horse/)
  },
)

t.test('a password that Redis repeats, even cut, is not told', async (t) => {
  // Redis then answers with what it was given, up to 128 bytes: unknown command, with args beginning with: 'pi' 'corr…'
  for (const padding of [0, 90, 100]) {
    const password = `${'x'.repeat(padding)}${SECRET}`
    const { url } = await RedisServer.start(t, { lines: ['rename-command AUTH ""'] })
    const { log, hear, text } = listen(t)
    const member = new Member(t, withPassword(url, password), 'pi-1', { log })
    joining(member)
    await until('it is refused', () => /unknown command/.test(member.reasons))
    hear(member)
    t.notMatch(text(), /xx|corr/)
    await member.source.close()
  }
})

t.test('a user that may too little, and a database that is not there, are told', async (t) => {
  const { url } = await RedisServer.start(t, { acl: `user pi on >${SECRET} ~bramble:* +eval +evalsha` })
  const { log, hear, text } = listen(t)
  for (const [to, reason] of [
    [withPassword(url), /\(NOPERM\); docs\/redis\.md/],
    [`${withPassword(url)}/1`, /\(NOPERM\); docs\/redis\.md/],
    [`${url}/99`, /refuses select \(ERR DB index is out of range\)/],
  ] as const) {
    const member = new Member(t, to, 'pi-1', { log })
    joining(member)
    await until(String(reason), () => reason.test(member.reasons))
    hear(member)
    await member.source.close()
  }
  t.notMatch(text(), SECRET)
})

t.test('a node in another database is in another cluster', async (t) => {
  const { url, admin } = await RedisServer.start(t)
  for (const db of ['0', '7']) t.same(await new Member(t, `${url}/${db}`, `pi-${db}`).join(), ['10.42.0.0/24'])
  t.same(await admin.hkeys('bramble:nodes'), ['pi-0'])
})

async function startWithTls(t: Parameters<typeof RedisServer.start>[0], settings: ServerSettings = {}) {
  const server = await RedisServer.start(t, { ...settings, hasTls: true })
  return { url: server.url, path: (name: string) => server.path(name) }
}
