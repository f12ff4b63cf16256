import t from 'tap'
import { Connection } from '../../../../agent/cluster/redis/connection.ts'
import { parseEndpoint } from '../../../../agent/cluster/redis/endpoint.ts'
import { rangesOf } from '../../../../agent/cluster/redis/ranges.ts'
import { KEYS } from '../../../../agent/cluster/redis/scripts.ts'
import { Store } from '../../../../agent/cluster/redis/store.ts'
import { parseCidr } from '../../../../ipam/address.ts'
import { lineOfDocs } from './docs.ts'
import { Member, until } from './member.ts'
import { RedisServer } from './server.ts'

const [ACL, ...WORDS] = lineOfDocs('ACL SETUSER bramble ')
const RANGES = rangesOf([parseCidr('10.42.0.0/23')], { 4: 24, 6: 64 })

/** A Redis whose user is that of docs/redis.md, word for word, and nobody is let in without a password. */
async function startWithUser(t: Parameters<typeof RedisServer.start>[0]) {
  const server = await RedisServer.start(t)
  await server.admin.call(ACL, ...WORDS)
  await server.admin.call('ACL', 'SETUSER', 'default', 'resetpass', '>another') // connections that are there stay
  return { admin: server.admin, url: server.url.replace('://', '://bramble:PASSWORD@') }
}

const registration = { instance: 'boot', addresses: ['192.168.1.1'], mode: 'join', isPatient: false } as const

/** Every command that is ever sent, through every script. */
async function everything(connection: Connection): Promise<void> {
  const store = new Store(connection, RANGES)
  for (const name of ['pi-1', 'pi-2', 'pi-3']) {
    await store.register({ ...registration, name, node: '{}', wanted: [''] }) // pi-3 gets what was freed
    await store.leave(name, 'boot')
    await store.snapshot()
    await store.pulse('pi-1')
    await store.list()
    await store.remove(name, true)
    await store.removedOf([name])
  }
  await connection.call('XREAD', 'STREAMS', KEYS.changes, '0-0')
}

t.test('with the user of docs/redis.md nodes join, announce, hear of changes, are listed and removed', async (t) => {
  const { url, admin } = await startWithUser(t)
  const first = await Member.start(t, url, 'pi-1')
  const second = await Member.start(t, url, 'pi-2', { address: '192.168.1.2' })
  second.source.announce({ encapsulations: ['vxlan'] })
  await until('the first hears of it', () => first.nodes.get('pi-2')?.announcement !== undefined)
  await second.source.close()
  t.match(await first.source.listNodes(), [
    { name: 'pi-1', podCidrs: ['10.42.0.0/24'], addresses: ['192.168.1.1'] },
    { name: 'pi-2', podCidrs: ['10.42.1.0/24'], addresses: ['192.168.1.2'] },
  ])
  t.same(await first.source.removeNode('pi-2', { isForced: true }), ['10.42.1.0/24'])
  await until('the first has forgotten it', () => !first.nodes.has('pi-2'))
  t.equal(first.reasons, '')
  t.match(await admin.call('CLIENT', 'LIST'), /name=bramble-pi-1 /)
})

t.test('this user may nothing else: no other command, no other key', async (t) => {
  const { url } = await startWithUser(t)
  let isReady = false
  const connection = new Connection(parseEndpoint(url), 'test', {
    onReady: () => (isReady = true),
    onTrouble: () => {},
  })
  t.teardown(() => connection.close())
  await until('it is connected', () => isReady)
  for (const [command, ...words] of [
    ['GET', KEYS.cluster],
    ['DEL', KEYS.cluster],
    ['KEYS', '*'],
    ['CONFIG', 'GET', '*'],
    ['FLUSHALL'],
    ['HGETALL', 'somebody'],
    ['EVAL', "return redis.call('HGETALL', 'somebody')", '0'],
  ] as const)
    await t.rejects(
      connection.call(command, ...words),
      { code: 'REDIS', message: /\(NOPERM\); docs\/redis\.md/ },
      command,
    )
})

t.test('without any one of its commands something is refused', async (t) => {
  const { url, admin } = await startWithUser(t)
  const commands = WORDS.filter((word) => word.startsWith('+') && word !== '+client|setname')
  t.ok(commands.length > 10)
  for (const command of [undefined, ...commands]) {
    await admin.flushall()
    await admin.script('FLUSH')
    await admin.call(ACL, 'SETUSER', 'bramble', 'reset')
    await admin.call(ACL, ...WORDS.filter((word) => word !== command))
    let isReady = false
    const events = { onReady: () => (isReady = true), onTrouble: () => {} }
    const connection = new Connection(parseEndpoint(url), 'test', events)
    await until('it is connected', () => isReady)
    const done = everything(connection)
    if (command === undefined) await t.resolves(done, 'with all of them nothing is')
    else await t.rejects(done, { code: 'REDIS', message: /NOPERM/ }, command)
    connection.close()
  }
})

t.test('the keys that docs/redis.md has deleted are all that there are', async (t) => {
  t.same(new Set(lineOfDocs('DEL bramble:').slice(1)), new Set(Object.values(KEYS)))
  const { url, admin } = await RedisServer.start(t)
  const member = await Member.start(t, url, 'pi-1')
  await member.source.close()
  await admin.call(...lineOfDocs('DEL bramble:'))
  t.same(await admin.keys('*'), [])
  const other = { clusterCidrs: [parseCidr('10.44.0.0/16')], formerCidrs: [parseCidr('10.42.0.0/24')] }
  t.same(await new Member(t, url, 'pi-1', other).join(), ['10.44.0.0/24'])
})
