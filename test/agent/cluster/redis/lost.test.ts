import { cpSync, rmSync } from 'node:fs'
import t from 'tap'
import { Member, until } from './member.ts'
import { RedisServer } from './server.ts'

t.jobs = 4 // they wait most of the time

/** Two nodes that know each other. */
async function startCluster(t: Parameters<typeof RedisServer.start>[0]) {
  const server = await RedisServer.start(t)
  const one = await Member.start(t, server.url, 'pi-1')
  const two = await Member.start(t, server.url, 'pi-2', { address: '192.168.1.2' })
  await until('they know each other', () => one.nodes.size === 2)
  return { server, one, two }
}

t.test('Redis comes back as it was yesterday: who joined since is in every view, and gets what it had', async (t) => {
  const { server, one } = await startCluster(t)
  cpSync(server.path('appendonlydir'), server.path('yesterday'), { recursive: true })
  const late = await Member.start(t, server.url, 'pi-3', { address: '192.168.1.3' })
  await until('the late one is known', () => one.nodes.has('pi-3'))
  const count = one.changes.length
  await server.stop('SIGKILL')
  rmSync(server.path('appendonlydir'), { recursive: true })
  cpSync(server.path('yesterday'), server.path('appendonlydir'), { recursive: true })
  await server.start()
  await until('the late one is back', async () => (await server.admin.hget('bramble:leases', 'pi-3')) === '4:2')
  late.source.announce({ encapsulations: ['vxlan'] })
  await until('it is heard', () => one.nodes.get('pi-3')?.announcement !== undefined)
  t.ok(one.changes.slice(count).every(({ view }) => view?.nodes.has('pi-3')))
})

t.test('a node whose pod CIDR somebody got while Redis had forgotten it says who, and keeps its view', async (t) => {
  const { server, one } = await startCluster(t)
  await server.admin
    .multi()
    .hdel('bramble:leases', 'pi-1')
    .hdel('bramble:nodes', 'pi-1')
    .hset('bramble:leases', 'thief', '4:0')
    .hset('bramble:cidrs', '4:0', 'thief')
    .exec()
  const said = /Node thief has got 10\.42\.0\.0\/24 in Redis, which this node's pods have; /
  await until('it is told', () => said.test(one.reasons))
  t.same(one.shown, ['pi-1 10.42.0.0/24', 'pi-2 10.42.1.0/24'])
  t.equal(await server.admin.hget('bramble:cidrs', '4:0'), 'thief')
})

t.test(
  'Redis lost everything while no agent ran: the first that starts has its former view from its first word on, and puts it back',
  async (t) => {
    const { server, one, two } = await startCluster(t)
    const knownNodes = [...one.nodes.values()].filter(({ name }) => name !== 'pi-1')
    const formerCidrs = one.nodes.get('pi-1')?.podCidrs ?? []
    await one.source.close()
    await two.source.close()
    await server.admin.flushall()
    const again = await Member.start(t, server.url, 'pi-1', { knownNodes, formerCidrs })
    t.ok(again.changes.every(({ view }) => view === undefined || view.nodes.has('pi-2')))
    t.same(again.shown, ['pi-1 10.42.0.0/24', 'pi-2 10.42.1.0/24'])
    await until('pi-2 is back', async () => (await server.admin.hget('bramble:leases', 'pi-2')) === '4:1')
    t.same(again.shown, ['pi-1 10.42.0.0/24', 'pi-2 10.42.1.0/24'])
  },
)

t.test('a node that was removed while the agent was away does not come back with it', async (t) => {
  const { server, one, two } = await startCluster(t)
  const knownNodes = [...one.nodes.values()].filter(({ name }) => name !== 'pi-1')
  await two.source.close()
  await one.source.removeNode('pi-2', { isForced: true })
  await one.source.close()
  const again = await Member.start(t, server.url, 'pi-1', { knownNodes })
  t.same(again.shown, ['pi-1 10.42.0.0/24'])
})

t.test('while Redis is away one thing is said of it, not one for each connection', async (t) => {
  const { server, one } = await startCluster(t)
  await server.stop('SIGKILL')
  await until('it is told', () => /not reachable \(ECONNREFUSED\)/.test(one.reasons))
  t.same(one.problems, [{ object: server.url, reason: 'not reachable (ECONNREFUSED); the last view stays in force' }])
})
