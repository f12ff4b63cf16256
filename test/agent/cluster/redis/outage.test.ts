import { mkdirSync, rmdirSync } from 'node:fs'
import t from 'tap'
import { Member, until } from './member.ts'
import { RedisServer } from './server.ts'

t.jobs = 4 // they wait most of the time

/** Two that live, and one that has a lease and no agent. */
async function startCluster(t: Parameters<typeof RedisServer.start>[0]) {
  const server = await RedisServer.start(t)
  await new Member(t, server.url, 'gone', { address: '192.168.1.9' }).join()
  const one = await Member.start(t, server.url, 'pi-1')
  const two = await Member.start(t, server.url, 'pi-2', { address: '192.168.1.2' })
  await until('they know each other', () => one.nodes.size === 3 && two.nodes.size === 3)
  const hears = (encapsulation: 'vxlan' | 'ipip') => {
    two.source.announce({ encapsulations: [encapsulation] })
    return until(`${encapsulation} is heard`, () =>
      Boolean(one.nodes.get('pi-2')?.announcement?.encapsulations.includes(encapsulation)),
    )
  }
  const areWell = () => until('all is well', () => one.reasons === '' && two.reasons === '')
  return { server, one, two, hears, areWell }
}

t.test('Redis is killed and comes back with its file: it was told, no node changed, changes go on', async (t) => {
  const { server, one, hears, areWell } = await startCluster(t)
  const before = one.nodes
  await server.stop('SIGKILL')
  await until('it is told', () => /not reachable \(.*the last view stays in force$/.test(one.reasons))
  t.equal(one.nodes, before)
  await t.rejects(one.source.listNodes(), { code: 'REDIS', message: /^redis:\/\/127\.0\.0\.1:\d+: not reachable/ })
  await server.start()
  await areWell()
  t.equal(one.nodes, before)
  await hears('vxlan')
  t.equal(one.nodes.get('gone'), before.get('gone'))
})

t.test('Redis comes back empty: no node changed, and each has what it had, also who was not there', async (t) => {
  const { server, one, hears } = await startCluster(t)
  const [before, leases] = [one.nodes, await server.admin.hgetall('bramble:leases')]
  const count = one.changes.length
  await server.restartEmpty()
  await until('all are put back', async () => (await server.admin.hlen('bramble:leases')) === 3)
  t.same(await server.admin.hgetall('bramble:leases'), leases)
  t.same(await new Member(t, server.url, 'new').join(), ['10.42.3.0/24'])
  await hears('vxlan')
  for (const name of ['gone', 'pi-1']) t.equal(one.nodes.get(name), before.get(name), name)
  const changed = one.changes.slice(count).flatMap((change) => [...(change.changed ?? ['all'])])
  t.same(new Set(changed), new Set(['new', 'pi-2']))
})

t.test('Redis is emptied while it runs: the same', async (t) => {
  const { server, one, hears } = await startCluster(t)
  const [before, leases] = [one.nodes, await server.admin.hgetall('bramble:leases')]
  await server.admin.flushall()
  await until('all are put back', async () => (await server.admin.hlen('bramble:nodes')) === 3)
  t.same(await server.admin.hgetall('bramble:leases'), leases)
  await hears('vxlan')
  for (const name of ['gone', 'pi-1']) t.equal(one.nodes.get(name), before.get(name), name)
})

t.test('Redis neither answers nor closes: it is told, and goes on when it does', async (t) => {
  const { server, one, hears, areWell } = await startCluster(t)
  server.freeze()
  await until('it is told', () => /not reachable \(no answer for a while\)/.test(one.reasons))
  server.thaw()
  await areWell()
  await hears('vxlan')
})

t.test('a replica is told; what could not be said is said to the primary', async (t) => {
  const { server, one, two, hears, areWell } = await startCluster(t)
  const before = one.nodes
  await server.admin.call('REPLICAOF', '127.0.0.1', '1')
  const heard = hears('vxlan')
  await until('it is told', () => /replica.*--redis-url/.test(two.reasons))
  t.equal(one.nodes, before)
  await server.admin.call('REPLICAOF', 'NO', 'ONE')
  await heard
  await areWell()
})

t.test('a full memory is told to a node that is new, which waits', async (t) => {
  const { server, one } = await startCluster(t)
  await server.admin.call('CONFIG', 'SET', 'maxmemory', '1')
  const fresh = new Member(t, server.url, 'new')
  const joined = fresh.join()
  await until('it is told', () => /\(OOM\); raise its maxmemory/.test(fresh.reasons))
  t.same(await server.admin.hkeys('bramble:leases'), ['gone', 'pi-1', 'pi-2'])
  await server.admin.call('CONFIG', 'SET', 'maxmemory', '0')
  t.same(await joined, ['10.42.3.0/24'])
  await until('the others hear of it', () => one.nodes.has('new'))
})

t.test('a disk that takes nothing is told; what could not be said is said as soon as it does', async (t) => {
  const { server, two, hears, areWell } = await startCluster(t)
  const { admin } = server
  await admin.call('CONFIG', 'SET', 'save', '3600 1') // a snapshot is wanted, and fails, as on a full disk
  mkdirSync(server.path('dump.rdb'))
  await admin.call('BGSAVE')
  await until('it failed', async () => /rdb_last_bgsave_status:err/.test(await admin.info('persistence')))
  const heard = hears('vxlan')
  await until('it is told', () => /\(MISCONF\); is the disk full\?/.test(two.reasons))
  rmdirSync(server.path('dump.rdb'))
  await admin.call('BGSAVE')
  await heard
  await areWell()
})

t.test('a Redis that still reads its file is waited for, in words', async (t) => {
  const lines = ['aof-use-rdb-preamble no', 'key-load-delay 1000', 'loading-process-events-interval-bytes 1024']
  const server = await RedisServer.start(t, { lines })
  const one = await Member.start(t, server.url, 'pi-1')
  const filling = server.admin.pipeline()
  for (let index = 0; index < 6_000; index++) filling.set(`somebody:${index}`, 'x'.repeat(100))
  await filling.exec()
  await server.stop('SIGKILL')
  const started = server.start()
  await until('it is told', () => /is reading its data from disk; waiting/.test(one.reasons))
  t.same(one.shown, ['pi-1 10.42.0.0/24'])
  await started
  await until('all is well', () => one.reasons === '')
})
